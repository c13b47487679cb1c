"""Drift guard: a few confident answers go to the data centre as well, and a fall in agreement raises the threshold.

A threshold was calibrated on data of some day; if the inputs drift, the frontend may be sure and wrong. A small share
of the confident answers is asked of the backend too, after the answer was given (a *shadow*). If they agree so seldom
that it would happen by chance once in 741 times (three standard deviations), the threshold of that frontend is raised
to the next stricter one that was calibrated, and at last to none: then everything is escalated.

The threshold is never lowered, and never learned from the stream that an experiment is judged on.

Source: our own proposal; the exact binomial tail, since agreement is near one and shadows are few; Laplace's rule of
succession for the share at calibration, so that perfect agreement there is not taken for perfect for ever.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import structs

if TYPE_CHECKING:
    from testbed.model.ids import ModelId, TaskId
    from testbed.policy.thresholds import Threshold, ThresholdTable

AT_LEAST = 30
"""Shadows before anything is concluded."""
WINDOW = 200
ONE_SIDED = 0.00135
"""Chance of a standard normal below -3."""


class DriftGuard:
    """Counts agreements per frontend and threshold."""

    def __init__(self, table: ThresholdTable) -> None:
        """Trusts every row as calibrated."""
        self._table = table
        self._seen: dict[tuple[TaskId, ModelId, float], list[bool]] = {}
        self._raised: dict[tuple[TaskId, ModelId, float], Threshold] = {}

    def row(self, row: Threshold) -> Threshold:
        """The row to go by now: the one given, or a stricter one in its place."""
        return self._raised.get(_key(row), row) if self._raised else row

    def saw(self, row: Threshold, agrees: bool) -> str:
        """One shadow came back; what was changed, in a sentence, or an empty string.

        Args:
            row: as calibrated for the request, not as raised.
        """
        now = self.row(row)
        if now.agreement is None:
            return ""
        seen = self._seen.setdefault(_key(row), [])
        seen.append(agrees)
        del seen[:-WINDOW]
        n, agreed = len(seen), sum(seen)
        # Agreement alone never speaks against the row, and most shadows agree.
        if agrees or n < AT_LEAST or _tail(agreed, n, _expected(now)) >= ONE_SIDED:
            return ""
        seen.clear()
        raised = self._raised[_key(row)] = self._stricter(now)
        level = "none, all is escalated" if raised.tau is None else f"{raised.tau:.4f}"
        return (
            f"drift guard: {row.frontend} for target {row.target} agrees with {row.backend} in {agreed} of {n} "
            f"shadows, {now.agreement:.1%} at calibration: threshold raised from {now.tau:.4f} to {level}"
        )

    def _stricter(self, now: Threshold) -> Threshold:
        """The next higher threshold among this frontend's rows, else none."""
        above = [
            r
            for r in self._table.rows
            if (r.task, r.frontend, r.lost_frac) == (now.task, now.frontend, now.lost_frac)
            and r.tau is not None
            and now.tau is not None
            and r.tau > now.tau
        ]
        if not above:
            return structs.replace(now, tau=None, p_off=1.0, agreement=None)
        return min(above, key=lambda r: r.tau or 0.0)


def _expected(row: Threshold) -> float:
    """Share of agreement that calibration makes us expect."""
    stood = row.n * (1.0 - row.p_off)
    return ((row.agreement or 0.0) * stood + 1.0) / (stood + 2.0)


def _tail(agreed: int, n: int, p: float) -> float:
    """Chance of so few agreements or fewer."""
    return sum(math.comb(n, k) * p**k * (1.0 - p) ** (n - k) for k in range(agreed + 1))


def _key(row: Threshold) -> tuple[TaskId, ModelId, float]:
    return row.task, row.frontend, row.target
