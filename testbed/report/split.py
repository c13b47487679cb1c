"""What the response time of an answered request was spent on, in four terms that leave nothing over.

A request's *path* is the chain of steps that its answer waited for: walking back from the answer, each time the step
answered last before the next was decided. Along it, in nanoseconds and without rounding:

- **queueing**: held back by the policy, waiting for the link while it carried an earlier order to the same board, and
  waiting on the board (received to started);
- **transfer**: from the first byte on a free link to all received, and from finished to answered;
- **service**: started to finished on the board;
- **overhead**: all the rest: our own lateness, deciding, encoding, closing the record, and attempts that failed.

That the link is free again is seen by the earlier order's arrival, less half a round trip of an empty message. The
offset of a board's clock cancels inside each term but the wait for the link, where it is off by the clock's bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testbed.measure.clocksync import fit_clocks
from testbed.measure.timeline import timelines
from testbed.report.columns import analysed
from testbed.units import Ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from testbed.measure.timeline import Timeline
    from testbed.model.ids import BoardId
    from testbed.model.record import RequestRecord
    from testbed.store.reader import Attempt

TERMS = ("queueing", "transfer", "service", "overhead")

Spent = tuple[Ns, Ns, Ns, Ns]
"""The four terms of one request, in the order of `TERMS`."""


def split(
    attempt: Attempt, ways: Mapping[BoardId, Ns]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[tuple[BoardId, ...]]]:
    """The terms of every analysed request of one attempt, by arrival.

    Args:
        ways: half a round trip of an empty message, by board; 0 where nobody knows.

    Returns:
        terms [ns], int64 (n, 4), each row summing to the response time; which rows could be had (answered, every
        step of the path with stamps on one clock), bool (n,); and the boards along the path.
    """
    records = analysed(attempt)
    lines = timelines(records, fit_clocks(attempt.probes), {})
    free = _link_free(lines, ways)
    terms = np.zeros((len(records), len(TERMS)), dtype=np.int64)
    known = np.zeros(len(records), dtype=np.bool_)
    paths: list[tuple[BoardId, ...]] = []
    first = 0
    for row, record in enumerate(records):
        own = range(first, first + len(record.steps))
        first += len(record.steps)
        path = _path(record, [(lines[i], free[i]) for i in own]) if record.used else []
        paths.append(tuple(line.board for line, _ in path))
        spent = spend(record, path)
        if spent is not None:
            terms[row] = spent
            known[row] = True
    return terms, known, paths


def ways_of(attempts: Sequence[Attempt]) -> dict[BoardId, Ns]:
    """Half the smallest round trip of a clock probe, line time taken off, by board."""
    found: dict[BoardId, Ns] = {}
    for attempt in attempts:
        for p in attempt.probes:
            rtt = (p.t3 - p.wire_down) - (p.t0 + p.wire_up) - (p.t2 - p.t1)
            found[p.board] = min(found.get(p.board, rtt), rtt)
    return {board: max(rtt, 0) // 2 for board, rtt in found.items()}


def spend(record: RequestRecord, path: Sequence[tuple[Timeline, Ns]]) -> Spent | None:
    """Divide a response time along its path, first step first, each with the instant its link was free.

    ``None`` without a path, or where a step of it has no stamps: then nobody can say.
    """
    queueing = transfer = service = 0
    since = record.seen
    for line, free in path:
        if line.sent is None or line.received is None or line.started is None or line.finished is None:
            return None
        # Whatever the clocks' bounds do, the link was not busy before the order was made, nor after it arrived.
        free = min(max(free, line.decided), max(line.received, line.decided))
        queueing += (line.decided - since) + (free - line.decided) + (line.started - line.received)
        transfer += (line.received - max(line.sent, free)) + (line.answered - line.finished)
        service += line.finished - line.started
        since = line.answered
    if not path:
        return None
    return queueing, transfer, service, record.response - queueing - transfer - service


def _path(record: RequestRecord, steps: Sequence[tuple[Timeline, Ns]]) -> list[tuple[Timeline, Ns]]:
    """The steps that the answer waited for, first one first."""
    path: list[tuple[Timeline, Ns]] = []
    left = sorted(steps, key=lambda step: step[0].answered)
    until = record.ended
    while left:
        step = left.pop()
        if step[0].answered <= until:
            path.append(step)
            until = step[0].decided
    return path[::-1]


def _link_free(lines: Sequence[Timeline], ways: Mapping[BoardId, Ns]) -> list[Ns]:
    """When the link of each step's board had carried the order before it; the step's own decision where none was."""
    free = [line.decided for line in lines]
    by_board: dict[BoardId, list[tuple[Ns, Ns, int]]] = {}
    for place, line in enumerate(lines):
        if line.received is not None and line.sent is not None:
            by_board.setdefault(line.board, []).append((line.received, line.sent, place))
    for board, arrivals in by_board.items():
        arrivals.sort()
        before: Ns | None = None
        previous: tuple[Ns, Ns] | None = None
        for received, sent, place in arrivals:
            if previous is not None and (received, sent) != previous:  # items of one batch travel together
                before = previous[0] - ways.get(board, 0)
            previous = (received, sent)
            if before is not None:
                free[place] = before
    return free
