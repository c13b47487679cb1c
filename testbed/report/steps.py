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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testbed.measure.clocksync import ClockBook
    from testbed.measure.timeline import Timeline
    from testbed.model.lab import BoardFacts
    from testbed.model.record import RequestRecord

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


class StepRows:
    """Takes records in, places their steps on the coordinator's clock, and gives their `Steps`; no record is kept."""

    def __init__(self, boards: dict[str, BoardFacts], contended: frozenset[str]) -> None:
        """None yet; for the arguments see `timelines`."""
        self._facts = boards
        self._contended = contended
        self._index: dict[str, int] = {}
        self._board = array("i")
        self._columns = {name: array("q") for name in _INSTANTS}
        self._origins: dict[str, set[Origin]] = {}
        self._failed: dict[str, int] = {}

    def add(self, records: Sequence[RequestRecord], book: ClockBook) -> None:
        """Take in some analysed records of an attempt with these clocks; best `CHUNK` at a time."""
        index, failed = self._index, self._failed
        for line in timelines(records, book, self._facts, self._contended):
            self._board.append(index.setdefault(line.board, len(index)))
            _add(self._columns, line)
            self._origins.setdefault(line.board, set()).add(line.response_origin)
        for step in (step for record in records for step in record.steps if step.error is not None):
            failed[step.board] = failed.get(step.board, 0) + 1

    def steps(self) -> Steps:
        """What was taken in."""
        return Steps(
            boards=tuple(self._index),
            board=np.asarray(self._board, dtype=np.int32),
            origins=self._origins,
            failed=self._failed,
            **{name: np.asarray(column, dtype=np.int64) for name, column in self._columns.items()},
        )


def _add(columns: dict[str, array[int]], line: Timeline) -> None:
    columns["request"].append(line.request)
    columns["arrival"].append(line.arrival)
    columns["answered"].append(line.answered)
    columns["started"].append(NOT_KNOWN if line.started is None else line.started)
    columns["finished"].append(NOT_KNOWN if line.finished is None else line.finished)
    transfer = line.transfer
    columns["transfer"].append(NOT_KNOWN if transfer is None else transfer)


def chunks(records: Iterable[RequestRecord]) -> Iterator[list[RequestRecord]]:
    """Records in lists of `CHUNK`, so that a million of them are never held together."""
    source = iter(records)
    while chunk := list(islice(source, CHUNK)):
        yield chunk
