"""Power samples and the energy computed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.ids import BoardId
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNKNOWN_METER = MeterTraits(quantity="instant")
"""Of a meter of which nobody said anything: its samples are taken as they stand."""


class PowerTrace:
    """A board's power as one meter tells it: one rail, or the sum of several.

    Attributes:
        t: int64 (n,) [ns], strictly increasing, coordinator's clock: where each sample's window ends.
        power_w: float64 (n,) [W].
        rail: label as the meter gives it; ``meter``: driver and identity; ``board``: what it feeds.
        bound: uncertainty of the stamps on the coordinator's clock [ns].
        traits: what is known of the meter's errors.
        step_w: smallest step of the sum [W], ``None`` where nobody stated one. step_j: of an energy counter [J].
        offset_w: standard uncertainty of the sum at no load [W].
        over: int64 (k, 2) [ns], stretches in which the meter stood at the end of its range, coordinator's clock.
    """

    __slots__ = (
        "board", "bound", "meter", "offset_w", "origin", "over", "power_w", "rail", "step_j", "step_w", "t", "traits",
    )  # fmt: skip

    def __init__(
        self,
        *,
        t: NDArray[np.int64],
        power_w: NDArray[np.float64],
        rail: str,
        meter: str,
        board: BoardId,
        origin: Origin,
        bound: int = 0,
        traits: MeterTraits = UNKNOWN_METER,
        step_w: float | None = None,
        step_j: float = 0.0,
        offset_w: float = 0.0,
        over: NDArray[np.int64] | None = None,
    ) -> None:
        """Check shapes and order once.

        Raises:
            ValueError: shapes differ, or stamps do not increase.
        """
        if t.shape != power_w.shape or t.ndim != 1:
            raise ValueError(f"t {t.shape} and power_w {power_w.shape} must both be (n,)")
        if t.size > 1 and not bool((t[1:] > t[:-1]).all()):
            raise ValueError("stamps of a power trace must increase strictly")
        self.t = t
        self.power_w = power_w
        self.rail = rail
        self.meter = meter
        self.board = board
        self.origin = origin
        self.bound = bound
        self.traits = traits
        self.step_w = step_w
        self.step_j = step_j
        self.offset_w = offset_w
        self.over = over


class Energy(Struct, frozen=True, kw_only=True):
    """Energy over an interval; every figure is ``None`` with a reason where it could not be had.

    Attributes:
        gross_j: all energy drawn. idle_j: baseline over the same interval. sigma_j: standard uncertainty of the net,
            or of the gross where there is no net. sigma_gross_j: of the gross.
        scope: the boards (and rails) it covers.
        reason: why the figures are missing, or an empty string.
        samples: power samples inside. covered_frac: share of the interval that lies between samples in their usual
            distance. gap_frac: the longest stretch without a sample, as a share of the interval.
        idle_drift_w: idle power after less idle power before [W].
        budget: what the uncertainty of the net is made of: standard uncertainties by cause [J].
    """

    gross_j: float | None
    idle_j: float | None
    sigma_j: float | None
    scope: str
    origin: Origin
    reason: str = ""
    sigma_gross_j: float | None = None
    samples: int = 0
    covered_frac: float | None = None
    gap_frac: float | None = None
    idle_drift_w: float | None = None
    budget: dict[str, float] = {}

    @property
    def net_j(self) -> float | None:
        """Energy above idle."""
        if self.gross_j is None or self.idle_j is None:
            return None
        return self.gross_j - self.idle_j
