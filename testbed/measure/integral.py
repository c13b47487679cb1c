"""Energy drawn up to an instant, as a power trace tells it; a difference of two is the energy between them.

Because it is a function of the instant alone, energies of adjacent intervals add up exactly, whatever the meter. Three
rules, by what a sample stands for (`testbed.model.meter`), with w the window and T the usual time between samples:

``instant``, and ``average`` with w up to 1.5 T: the mean over w belongs to the middle of w; between the middles the
power is taken as linear (trapezoids), so both edges of an interval are interpolated.

``counter``: the energy up to each stamp is the sum of power times time since the stamp before; linear in between.

``average`` with w over 1.5 T: trapezoids smear a step at the edge of an interval over w, and an eighth of w times the
step is lost on either side of a load. But one reading says exactly what the last w took, so the energy up to t is also
that up to t - w by trapezoids plus the reading at t, or that up to t + w less the reading at t + w. The mean of both is
used: a lone step at t costs nothing, one elsewhere at most half of what plain trapezoids lose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testbed.units import Ns, to_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testbed.model.energy import PowerTrace

WIDE = 1.5
"""A window of more than so many sample distances overlaps the one before it."""


class Integral:
    """The energy up to an instant [J], counted from the first sample; end samples are held beyond the trace.

    Attributes:
        spacing: the usual time between samples [ns]. period: between those that can differ, not less than that [ns].
        window: over how long a sample averages [ns].
        middles: the instants that the samples stand for, int64 (n,) [ns].
        wide: windows overlap. counting: samples are differences of a counter.
    """

    def __init__(self, trace: PowerTrace) -> None:
        """Sum up once.

        Args:
            trace: at least one sample.

        Raises:
            ValueError: the trace is empty.
        """
        if trace.t.size == 0:
            raise ValueError("a trace without samples has no energy")
        traits = trace.traits
        self.spacing: Ns = int(np.median(np.diff(trace.t))) if trace.t.size > 1 else 0
        self.period: Ns = max(self.spacing, traits.period_ns)
        self.counting = traits.quantity == "counter"
        self.window: Ns = self.spacing if self.counting else traits.window_ns
        self.wide = traits.quantity == "average" and self.window > WIDE * self.period
        self.middles = trace.t if self.counting else trace.t - self.window // 2
        self._origin = int(self.middles[0])
        self._power = trace.power_w
        self._at = (self.middles - self._origin).astype(np.float64) / 1e9
        steps = np.diff(self._at)
        means = self._power[1:] if self.counting else (self._power[1:] + self._power[:-1]) / 2
        self._sum = np.concatenate(([0.0], np.cumsum(means * steps)))

    def at(self, t: NDArray[np.int64]) -> NDArray[np.float64]:
        """Energy up to each instant [J], shape of ``t``."""
        since = (t - self._origin).astype(np.float64) / 1e9
        if not self.wide:
            return self._plain(since)
        w = to_s(self.window)
        first, last = self._at[0], self._at[-1]
        # A reading in the middle of [x, x + w] is the mean power in there.
        after = self._plain(since + w) - w * np.interp(since + w / 2, self._at, self._power)
        before = self._plain(since - w) + w * np.interp(since - w / 2, self._at, self._power)
        found: NDArray[np.float64] = np.where(
            since + w > last, np.where(since - w < first, self._plain(since), before), (after + before) / 2
        )
        return np.where((since - w < first) & (since + w <= last), after, found)

    def between(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        """Energy of each interval [J]; 0 for an empty one."""
        found: NDArray[np.float64] = np.where(end > start, self.at(end) - self.at(start), 0.0)
        return found

    def _plain(self, since: NDArray[np.float64]) -> NDArray[np.float64]:
        """By trapezoids, or by the counter's steps."""
        at, power = self._at, self._power
        left = np.clip(np.searchsorted(at, since, side="right") - 1, 0, max(at.size - 2, 0))
        inside = np.clip(since, at[0], at[-1]) - at[left]
        begin = power[left]
        if at.size > 1:
            right = left + 1
            if self.counting:
                begin, slope = power[right], np.zeros_like(inside)
            else:
                slope = (power[right] - begin) / (at[right] - at[left])
        else:
            slope = np.zeros_like(inside)
        held = np.minimum(since - at[0], 0.0) * power[0] + np.maximum(since - at[-1], 0.0) * power[-1]
        found: NDArray[np.float64] = self._sum[left] + begin * inside + slope * inside**2 / 2 + held
        return found
