"""A load's energy shared out: so much for each execution, so much for the pauses, and nothing left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

if TYPE_CHECKING:
    from testbed.measure.energy import EnergyBook, Span


class Shares(Struct, frozen=True, kw_only=True):
    """Gross energy of a load in parts.

    Attributes:
        executions_j: float64 (m,), of each execution. pauses_j: while nothing was executed.
        total_j: of the whole; the sum of the others, to rounding.
    """

    executions_j: NDArray[np.float64]
    pauses_j: float
    total_j: float


def share_out(book: EnergyBook, span: Span, executions: NDArray[np.int64]) -> Shares:
    """Gross energy of each execution and of the pauses; what ran at the same time shares alike.

    Whether the samples can carry the figure of one execution is for `EnergyBook.energy` to judge.

    Args:
        span: the load, on the coordinator's clock.
        executions: start and finish of each, int64 (m, 2), same clock; what lies outside of the span does not count.
    """
    inside = np.clip(executions, *span)
    inside[:, 1] = np.maximum(inside[:, 1], inside[:, 0])
    cuts = np.unique(np.concatenate((np.asarray(span, dtype=np.int64), inside.ravel())))
    if book.integral is None:
        return Shares(executions_j=np.zeros(len(executions)), pauses_j=0.0, total_j=0.0)
    parts = np.diff(book.integral.at(cuts))
    steps = np.zeros(cuts.size, dtype=np.int64)
    np.add.at(steps, np.searchsorted(cuts, inside[:, 0]), 1)
    np.add.at(steps, np.searchsorted(cuts, inside[:, 1]), -1)
    running = np.cumsum(steps)[:-1]
    each = np.where(running > 0, parts / np.maximum(running, 1), 0.0)
    upto = np.concatenate(([0.0], np.cumsum(each)))
    begin, end = (upto[np.searchsorted(cuts, inside[:, column])] for column in (0, 1))
    return Shares(
        executions_j=end - begin,
        pauses_j=float(parts[running == 0].sum()),
        total_j=float(parts.sum()),
    )


def busy_upto(t: NDArray[np.int64], executions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Time spent executing up to each instant [s]: what began at s adds t - s, what ended at e takes t - e back."""
    found = np.zeros(t.size)
    for column, sign in ((0, 1.0), (1, -1.0)):
        at = np.sort(executions[:, column])
        behind = (at - t[0]).astype(np.float64) / 1e9
        before = np.searchsorted(at, t)
        sums = np.concatenate(([0.0], np.cumsum(behind)))
        found += sign * (before * ((t - t[0]) / 1e9) - sums[before])
    return found
