"""Says when a cell was executed often enough: its intervals are narrow enough, or as many as asked for are there.

Intervals are between order statistics, so nothing is assumed of the shape of the times; executions of one block are
taken as independent. Three blocks at least, so that more than one moment of the board is in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.measure.stats import Estimate, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.model.profile import Stopped

LEAST_BLOCKS = 3


class StopRule(Struct, frozen=True, kw_only=True):
    """When to stop; see `testbed.campaign.profiling.plan.Plan` for the fields."""

    ci_frac: float
    p99: bool = False
    repeats: int | None = None

    def stop(self, times: Sequence[int], blocks: int) -> Stopped | None:
        """Why to stop, or ``None`` to go on.

        Args:
            times: kept service times, any unit. blocks: how many blocks they are from.
        """
        if self.repeats is not None:
            return "repeats" if len(times) >= self.repeats else None
        if blocks >= LEAST_BLOCKS and all(_width(known) <= self.ci_frac for known in self._asked(times)):
            return "precise"
        return None

    def done_frac(self, times: Sequence[int], blocks: int) -> float:
        """How much of the way is done, 0 to 1: widths shrink with the root of the number of executions."""
        if self.repeats is not None:
            return min(len(times) / self.repeats, 1.0)
        shares = [blocks / LEAST_BLOCKS]
        for known in self._asked(times):
            width = _width(known)
            shares.append((self.ci_frac / width) ** 2 if width > 0 else 1.0)
        return min([*shares, 1.0])

    def _asked(self, times: Sequence[int]) -> list[Estimate]:
        values = np.asarray(times, dtype=np.float64)
        return [quantile(values, q) for q in ((0.5, 0.99) if self.p99 else (0.5,))]


def _width(known: Estimate) -> float:
    """Width of the interval relative to the quantile; infinite where there is none."""
    if known.interval is None or not known.value:
        return float("inf")
    low, high = known.interval
    return (high - low) / known.value
