"""Records of one policy as columns, so that every figure is one array operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.model.request import Outcome
from testbed.store.schema import WARMUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.model.record import RequestRecord
    from testbed.store.reader import Attempt

DATA_CENTRE = "dc"
_ANSWERED = (Outcome.COMPLETED, Outcome.DEGRADED)


class Columns(Struct, frozen=True, kw_only=True):
    """One row per analysed request, in order of block and arrival.

    Attributes:
        key: block and request, to pair policies. sample: input index.
        response_ms, lateness_ms: float64. target: accuracy asked for, nan for none.
        answered, right, known (its truth is), offloaded, deadline (has one), missed: bool.
        board: answering board, empty without an answer.
    """

    key: tuple[tuple[int, int], ...]
    outcome: tuple[Outcome, ...]
    board: tuple[str, ...]
    sample: NDArray[np.int64]
    target: NDArray[np.float64]
    response_ms: NDArray[np.float64]
    lateness_ms: NDArray[np.float64]
    answered: NDArray[np.bool_]
    known: NDArray[np.bool_]
    right: NDArray[np.bool_]
    offloaded: NDArray[np.bool_]
    deadline: NDArray[np.bool_]
    missed: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of requests."""
        return len(self.key)


def analysed(attempt: Attempt) -> tuple[RequestRecord, ...]:
    """The records of an attempt by arrival, without those that arrived in a warm-up window."""
    warm = [w for w in attempt.windows if w.name == WARMUP]
    kept = [r for r in attempt.records if not any(w.start <= r.request.arrival < w.end for w in warm)]
    return tuple(sorted(kept, key=lambda r: (r.request.arrival, r.request.id)))


def columns(attempts: Sequence[Attempt]) -> Columns:
    """Put the records of one policy's attempts side by side."""
    keys: list[tuple[int, int]] = []
    records: list[RequestRecord] = []
    boards: list[str] = []
    offloaded: list[bool] = []
    for attempt in sorted(attempts, key=lambda a: a.start.block):
        site = {facts.id: facts.site for facts in attempt.boards}
        for record in analysed(attempt):
            keys.append((attempt.start.block, record.request.id))
            records.append(record)
            used = set(record.used)
            rests_on = [step.board for step in record.steps if step.id in used]
            answered = record.outcome in _ANSWERED
            boards.append(rests_on[-1] if answered and rests_on else "")
            offloaded.append(answered and any(site.get(board) == DATA_CENTRE for board in rests_on))
    answered_column = np.asarray([r.outcome in _ANSWERED for r in records], dtype=np.bool_)
    deadline = np.asarray([r.request.deadline is not None for r in records], dtype=np.bool_)
    late = np.asarray([r.late for r in records], dtype=np.bool_)
    return Columns(
        key=tuple(keys),
        outcome=tuple(r.outcome for r in records),
        board=tuple(boards),
        sample=np.asarray([r.request.sample for r in records], dtype=np.int64),
        target=_floats(
            r.request.min_accuracy if r.request.min_accuracy is not None else np.nan for r in records
        ),
        response_ms=_floats(r.response / 1e6 for r in records),
        lateness_ms=_floats((r.seen - r.request.arrival) / 1e6 for r in records),
        answered=answered_column,
        known=answered_column & np.asarray([r.correct is not None for r in records], dtype=np.bool_),
        right=answered_column & np.asarray([bool(r.correct) for r in records], dtype=np.bool_),
        offloaded=np.asarray(offloaded, dtype=np.bool_),
        deadline=deadline,
        missed=deadline & (~answered_column | late),
    )


def _floats(values: Iterable[float]) -> NDArray[np.float64]:
    return np.fromiter(values, dtype=np.float64)
