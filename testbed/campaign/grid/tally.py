"""Counts the records of one trial as they come, so that none is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.campaign.grid.cells import Cell
from testbed.measure.stats import quantile, wilson_of
from testbed.model.request import Outcome
from testbed.units import to_ms

if TYPE_CHECKING:
    from testbed.model.ids import BoardId
    from testbed.model.record import RequestRecord

ANSWERED = {Outcome.COMPLETED, Outcome.DEGRADED}
ENOUGH_ANSWERED = 0.99
"""Share of requests below which an accuracy is that of the easy ones: who leaves out more keeps no promise."""


class TargetCount(Struct, frozen=True, kw_only=True):
    """Requests of one accuracy target; ``reached`` unless the whole interval of the accuracy lies below it.

    Attributes:
        right: of all requests. answered: of them. different: inputs that the answered ones showed.
    """

    target: float
    requests: int
    right: int
    answered: int
    different: int
    reached: bool
    p99_ms: float | None


class GridRow(Struct, frozen=True, kw_only=True):
    """One contender in one cell under one seed.

    Attributes:
        p50_ms, p99_ms: of all requests, one that got no answer counting as late for ever; ``None`` if that is what the
            quantile is. p50_ci, p99_ci: their order-statistic 95 % intervals.
        missed_frac: of all requests, those that were answered late or never.
        meets: no target's whole interval lies below it, and 99 % were answered; under this seed alone.
        drawn_from: labelled inputs that those of the requests are a draw from.
        offload_frac: of the answers, those that rest on the data centre. dc_busy_frac: of its time.
        uplink_bytes: inputs sent to the data centre, per request.
    """

    cell: Cell
    policy: str
    ours: bool
    seed: int
    drawn_from: int
    requests: int
    answered: int
    p50_ms: float | None
    p99_ms: float | None
    p50_ci: tuple[float, float] | None
    p99_ci: tuple[float, float] | None
    missed_frac: float
    accuracy: float | None
    targets: tuple[TargetCount, ...]
    meets: bool
    offload_frac: float
    dc_busy_frac: float
    uplink_bytes: float
    loads: int
    cancelled: dict[str, int]


class Tally:
    """A sink for `RequestRecord`.

    Attributes:
        dc: boards of the data centre. sent_bytes: of inputs to them; whoever sends adds to it.
    """

    def __init__(self, dc: set[BoardId]) -> None:
        """Nothing seen."""
        self.dc = dc
        self.sent_bytes = 0
        self._response: list[float] = []
        self._target: list[float] = []
        self._right: list[bool] = []
        self._sample: list[int] = []
        self._offloaded = 0
        self._missed = 0

    def write(self, entry: RequestRecord) -> None:
        """Count one."""
        request = entry.request
        answered = entry.outcome in ANSWERED
        self._response.append(to_ms(entry.ended - request.arrival) if answered else float("inf"))
        self._target.append(request.min_accuracy or 0.0)
        self._right.append(bool(entry.correct) and answered)
        self._sample.append(request.sample)
        used = set(entry.used)
        self._offloaded += any(step.board in self.dc for step in entry.steps if step.id in used)
        self._missed += not answered or (request.deadline is not None and entry.ended > request.deadline)

    def row(
        self,
        *,
        cell: Cell,
        policy: str,
        ours: bool,
        seed: int,
        drawn_from: int,
        dc_busy_frac: float,
        loads: int,
        cancelled: dict[str, int],
    ) -> GridRow:
        """What came of the trial."""
        response, target = np.array(self._response), np.array(self._target)
        right = np.array(self._right, dtype=np.bool_)
        there = np.isfinite(response)
        sample = np.array(self._sample)
        targets = tuple(
            _target_count(float(t), response[target == t], right[target == t], sample[target == t])
            for t in np.unique(target)
        )
        return GridRow(
            cell=cell,
            policy=policy,
            ours=ours,
            seed=seed,
            drawn_from=drawn_from,
            requests=len(response),
            answered=int(there.sum()),
            p50_ms=_at(response, 0.5),
            p99_ms=_at(response, 0.99),
            p50_ci=quantile(response, 0.5).interval if bool(there.all()) else None,
            p99_ci=quantile(response, 0.99).interval if bool(there.all()) else None,
            missed_frac=self._missed / max(len(response), 1),
            accuracy=float(right[there].mean()) if bool(there.any()) else None,
            targets=targets,
            meets=all(t.reached for t in targets) and bool(there.mean() >= ENOUGH_ANSWERED),
            offload_frac=self._offloaded / max(int(there.sum()), 1),
            dc_busy_frac=dc_busy_frac,
            uplink_bytes=self.sent_bytes / max(len(response), 1),
            loads=loads,
            cancelled=cancelled,
        )


def _target_count(target: float, response: np.ndarray, right: np.ndarray, sample: np.ndarray) -> TargetCount:
    """Requests that show the same input again get the same answer again, so only different ones count as evidence."""
    there = np.isfinite(response)
    answered, different = int(there.sum()), len(np.unique(sample[there]))
    upper = wilson_of(float(right[there].mean()), answered, different).high if answered else 0.0
    return TargetCount(
        target=target,
        requests=len(response),
        right=int(right.sum()),
        answered=answered,
        different=different,
        reached=upper is not None and upper >= target,
        p99_ms=_at(response, 0.99),
    )


def _at(response: np.ndarray, q: float) -> float | None:
    """A quantile as one of the values, ``None`` where that is never."""
    found = float(np.quantile(response, q, method="inverted_cdf"))
    return found if np.isfinite(found) else None
