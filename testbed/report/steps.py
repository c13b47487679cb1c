"""Steps of one policy as columns: what the board table and the timeline plot are made of."""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.measure.timeline import timelines
from testbed.model.origin import Origin
from testbed.report.columns import in_analysis

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testbed.measure.clocksync import ClockBook
    from testbed.measure.timeline import Timeline
    from testbed.model.lab import BoardFacts
    from testbed.model.record import RequestRecord
    from testbed.store.reader import Attempt

CHUNK = 10_000
"""Records looked at together: their stamps are placed by array operations."""

NOT_KNOWN = np.iinfo(np.int64).min
_INSTANTS = ("request", "arrival", "started", "finished", "answered", "transfer")


class Steps(Struct, frozen=True, kw_only=True):
    """One row per step, in the journal's order.

    Attributes:
        boards: names; board: index into them, int32.
        arrival, started, finished, answered: coordinator's clock [ns], int64. transfer: [ns]. `NOT_KNOWN` where no
            stamp says.
        origins: of the responses, by board. failed: steps with an error, by board.
    """

    boards: tuple[str, ...]
    board: NDArray[np.int32]
    request: NDArray[np.int64]
    arrival: NDArray[np.int64]
    started: NDArray[np.int64]
    finished: NDArray[np.int64]
    answered: NDArray[np.int64]
    transfer: NDArray[np.int64]
    origins: dict[str, set[Origin]]
    failed: dict[str, int]

    @property
    def executed(self) -> NDArray[np.bool_]:
        """Those with a start and an end."""
        found: NDArray[np.bool_] = (self.started != NOT_KNOWN) & (self.finished != NOT_KNOWN)
        return found


def steps_of(
    attempts: Sequence[Attempt],
    clocks: Sequence[ClockBook],
    boards: dict[str, BoardFacts],
    contended: frozenset[str],
) -> Steps:
    """Place every step of one policy's attempts on the coordinator's clock; no record is kept."""
    index: dict[str, int] = {}
    board = array("i")
    columns = {name: array("q") for name in _INSTANTS}
    origins: dict[str, set[Origin]] = {}
    failed: dict[str, int] = {}
    for attempt, book in zip(attempts, clocks, strict=True):
        for records in _chunks(in_analysis(attempt)):
            for line in timelines(records, book, boards, contended):
                board.append(index.setdefault(line.board, len(index)))
                _add(columns, line)
                origins.setdefault(line.board, set()).add(line.response_origin)
            for step in (step for record in records for step in record.steps if step.error is not None):
                failed[step.board] = failed.get(step.board, 0) + 1
    return Steps(
        boards=tuple(index),
        board=np.asarray(board, dtype=np.int32),
        origins=origins,
        failed=failed,
        **{name: np.asarray(column, dtype=np.int64) for name, column in columns.items()},
    )


def _add(columns: dict[str, array[int]], line: Timeline) -> None:
    columns["request"].append(line.request)
    columns["arrival"].append(line.arrival)
    columns["answered"].append(line.answered)
    columns["started"].append(NOT_KNOWN if line.started is None else line.started)
    columns["finished"].append(NOT_KNOWN if line.finished is None else line.finished)
    transfer = line.transfer
    columns["transfer"].append(NOT_KNOWN if transfer is None else transfer)


def _chunks(records: Iterable[RequestRecord]) -> Iterator[list[RequestRecord]]:
    source = iter(records)
    while chunk := list(islice(source, CHUNK)):
        yield chunk
