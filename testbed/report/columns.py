"""Records of one policy as columns, so that every figure is one array operation."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.model.request import Outcome
from testbed.store.schema import WARMUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testbed.model.record import RequestRecord
    from testbed.store.reader import Attempt

DATA_CENTRE = "dc"
_ANSWERED = (Outcome.COMPLETED, Outcome.DEGRADED)


class Columns(Struct, frozen=True, kw_only=True):
    """One row per analysed request, in order of block and arrival.

    Attributes:
        block, request: int64, together the key that pairs policies. sample: input index.
        response_ms, lateness_ms: float64. target: accuracy asked for, nan for none.
        lost_frac: largest share of the input that a step had to do without, failed ones included; float64.
        answered, right, known (its truth is), offloaded, deadline (has one), missed: bool.
        board: answering board, empty without an answer.
    """

    block: NDArray[np.int64]
    request: NDArray[np.int64]
    outcome: tuple[Outcome, ...]
    board: tuple[str, ...]
    sample: NDArray[np.int64]
    target: NDArray[np.float64]
    response_ms: NDArray[np.float64]
    lateness_ms: NDArray[np.float64]
    lost_frac: NDArray[np.float64]
    answered: NDArray[np.bool_]
    known: NDArray[np.bool_]
    right: NDArray[np.bool_]
    offloaded: NDArray[np.bool_]
    deadline: NDArray[np.bool_]
    missed: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of requests."""
        return int(self.request.size)


def analysed(attempt: Attempt) -> tuple[RequestRecord, ...]:
    """The records of an attempt by arrival, without those that arrived in a warm-up window."""
    return tuple(sorted(in_analysis(attempt), key=lambda r: (r.request.arrival, r.request.id)))


def in_analysis(attempt: Attempt, records: Iterable[RequestRecord] | None = None) -> Iterator[RequestRecord]:
    """As `analysed`, in the journal's order, one at a time.

    Args:
        records: some of the attempt's; all by default.
    """
    warm = [w for w in attempt.windows if w.name == WARMUP]
    for record in attempt.records if records is None else records:
        if not any(w.start <= record.request.arrival < w.end for w in warm):
            yield record


def columns(attempts: Sequence[Attempt]) -> Columns:
    """Put the records of one policy's attempts side by side; no record is kept."""
    rows = Rows()
    for attempt in attempts:
        rows.add(attempt, in_analysis(attempt))
    return rows.columns()


class Rows:
    """Takes records in and gives their `Columns`; no record is kept."""

    def __init__(self) -> None:
        """None yet."""
        self._numbers = {name: array("q") for name in ("block", "request", "sample", "arrival")}
        self._floats = {name: array("d") for name in ("target", "response_ms", "lateness_ms", "lost_frac")}
        names = ("answered", "known", "right", "offloaded", "deadline", "missed")
        self._flags = {name: bytearray() for name in names}
        self._outcomes: list[Outcome] = []
        self._boards: list[str] = []
        self._names: dict[str, str] = {"": ""}  # one string a board, however many records name it

    def add(self, attempt: Attempt, records: Iterable[RequestRecord]) -> None:
        """Take in some analysed records of an attempt."""
        numbers, floats, flags = self._numbers, self._floats, self._flags
        site = {facts.id: facts.site for facts in attempt.boards}
        for record in records:
            request = record.request
            used = set(record.used)
            rests_on = [step.board for step in record.steps if step.id in used]
            answered = record.outcome in _ANSWERED
            board = rests_on[-1] if answered and rests_on else ""
            self._boards.append(self._names.setdefault(board, board))
            self._outcomes.append(record.outcome)
            numbers["block"].append(attempt.start.block)
            numbers["request"].append(request.id)
            numbers["sample"].append(request.sample)
            numbers["arrival"].append(request.arrival)
            floats["target"].append(np.nan if request.min_accuracy is None else request.min_accuracy)
            floats["response_ms"].append(record.response / 1e6)
            floats["lateness_ms"].append((record.seen - request.arrival) / 1e6)
            floats["lost_frac"].append(max([step.lost_frac for step in record.steps], default=0.0))
            flags["answered"].append(answered)
            flags["known"].append(answered and record.correct is not None)
            flags["right"].append(answered and bool(record.correct))
            flags["offloaded"].append(answered and any(site.get(b) == DATA_CENTRE for b in rests_on))
            flags["deadline"].append(request.deadline is not None)
            flags["missed"].append(request.deadline is not None and (not answered or record.late))

    def columns(self) -> Columns:
        """What was taken in, sorted."""
        keys = [np.asarray(self._numbers[name]) for name in ("request", "arrival", "block")]
        order = np.lexsort(keys)

        def whole(name: str) -> NDArray[np.int64]:
            return np.asarray(self._numbers[name], dtype=np.int64)[order]

        def real(name: str) -> NDArray[np.float64]:
            return np.asarray(self._floats[name], dtype=np.float64)[order]

        def flag(name: str) -> NDArray[np.bool_]:
            return np.frombuffer(self._flags[name], dtype=np.bool_)[order]

        return Columns(
            block=whole("block"),
            request=whole("request"),
            outcome=tuple(self._outcomes[i] for i in order),
            board=tuple(self._boards[i] for i in order),
            sample=whole("sample"),
            target=real("target"),
            response_ms=real("response_ms"),
            lateness_ms=real("lateness_ms"),
            lost_frac=real("lost_frac"),
            answered=flag("answered"),
            known=flag("known"),
            right=flag("right"),
            offloaded=flag("offloaded"),
            deadline=flag("deadline"),
            missed=flag("missed"),
        )
