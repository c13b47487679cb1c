"""What is known of a meter's errors: enough to say how wrong an energy may be.

A sample stamped ``t`` stands for ``[t - delay - window, t - delay]``, where ``delay`` is known to within
``delay_bound`` either way. What it stands for depends on the quantity:

``instant``   the power in a window that is short against the time between samples; in between nobody looked
``average``   the mean power over the window, which reaches back to the sample before it, or further
``counter``   the mean power since the sample before it, as the difference of two readings of an energy counter

Every figure has a source in ``sources``, under the field's name, or ``rails`` for those of the rails; a figure of 0
without one says that nobody stated it.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from msgspec import Struct

from testbed.model.profile import MeteredKind
from testbed.units import Ns

SampleKind: TypeAlias = Literal["instant", "average", "counter"]


class RailTraits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Resolution and limits of one rail.

    Attributes:
        step_w: smallest step of a power reading [W].
        step_v, step_a, bus_v: instead of it, smallest steps of voltage [V] and current [A] of which the power is the
            product, and the rail's nominal voltage [V].
        step_j: smallest step of an energy counter [J].
        offset_w: standard uncertainty of the reading at no load [W].
        full_scale_w: what reads this much may be more [W].
    """

    step_w: float | None = None
    step_v: float | None = None
    step_a: float | None = None
    bus_v: float | None = None
    step_j: float = 0.0
    offset_w: float = 0.0
    full_scale_w: float | None = None

    @property
    def level_w(self) -> float | None:
        """Step from one power reading to the next [W]; ``None`` where nobody stated one."""
        if self.step_w is not None:
            return self.step_w
        return None if self.step_a is None or not self.bus_v else self.bus_v * self.step_a

    @property
    def volts_frac(self) -> float:
        """What the step of the voltage adds to the uncertainty of the gain, as the voltage hardly moves.

        Source: JCGM 100:2008 (GUM) F.2.2.1: a reading is off by at most half a step, which is worth step/sqrt(12).
        """
        return self.step_v / self.bus_v / math.sqrt(12) if self.step_v and self.bus_v else 0.0


class MeterTraits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What maker, driver or probing say of one meter.

    Attributes:
        quantity: what a sample stands for (see above).
        metered: what it covers (`testbed.model.profile.Metered`), ``None`` where nobody said.
        period_ns: from one new value of the meter to its next [ns]; 0 where it makes one whenever it is read.
        window_ns: how long a value averages [ns]. delay_ns: from the end of that to its stamp [ns].
        delay_bound_ns: half-width of what the delay may be off by [ns]: a value that is renewed every ``period_ns``
            and read at any time is on average half a period old, give or take as much.
        gain_frac: standard uncertainty of the gain: a limit of error a is worth a/sqrt(3).
        rails: by the rail's name; ``""`` for every rail that is not named.
        sources: where each figure comes from, by field.
    """

    quantity: SampleKind
    metered: MeteredKind | None = None
    period_ns: Ns = 0
    window_ns: Ns = 0
    delay_ns: Ns = 0
    delay_bound_ns: Ns = 0
    gain_frac: float = 0.0
    rails: dict[str, RailTraits] = {}
    sources: dict[str, str] = {}

    def rail(self, name: str) -> RailTraits:
        """Traits of a rail."""
        return self.rails.get(name) or self.rails.get("") or RailTraits()
