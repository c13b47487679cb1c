"""One step on one clock: when it was decided, sent, received, started, finished and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.model.origin import Origin, weakest
from testbed.units import Ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.measure.clocksync import ClockBook
    from testbed.model.execution import Step
    from testbed.model.lab import BoardFacts
    from testbed.model.record import RequestRecord


class Timeline(Struct, frozen=True, kw_only=True):
    """A step on the coordinator's clock; board-side instants are off by at most ``bound``.

    Arrival, decided, sent and answered were stamped by the coordinator itself: their bound is 0. Their origin is
    that of this host's clock; the segments between carry the origin of whatever made the time pass.

    Attributes:
        received, started, finished: ``None`` where the board gave no stamp or was never probed.
        transfer_origin: of the time on the way. service_origin: of the time on the board.
    """

    request: int
    board: str
    model: str
    arrival: Ns
    decided: Ns
    answered: Ns
    sent: Ns | None = None
    received: Ns | None = None
    started: Ns | None = None
    finished: Ns | None = None
    bound: Ns = 0
    transfer_origin: Origin = Origin.MEASURED
    service_origin: Origin = Origin.MEASURED

    @property
    def queueing(self) -> Ns | None:
        """Arrival to start: waiting at the coordinator, on the link and on the board; off by ``bound``."""
        return None if self.started is None else self.started - self.arrival

    @property
    def transfer(self) -> Ns | None:
        """On the wire both ways: first byte sent to all received, and finished to answered.

        The clock offset cancels in the sum, so only the drift between the stamps can be wrong in it.
        """
        if self.sent is None or self.received is None or self.finished is None:
            return None
        return (self.received - self.sent) + (self.answered - self.finished)

    @property
    def service(self) -> Ns | None:
        """Start to finish on the board."""
        return None if self.started is None or self.finished is None else self.finished - self.started

    @property
    def response(self) -> Ns:
        """Intended arrival to the answer of this step."""
        return self.answered - self.arrival

    @property
    def response_origin(self) -> Origin:
        """The weakest of its parts."""
        return weakest((self.transfer_origin, self.service_origin))


def timelines(
    records: Iterable[RequestRecord],
    clocks: ClockBook,
    boards: Mapping[str, BoardFacts],
    contended: frozenset[str] = frozenset(),
) -> tuple[Timeline, ...]:
    """Timelines of every step of the records, in their order.

    Args:
        boards: what each board said it is; a board not in it counts as measured.
        contended: boards whose measured service time shares its cores with emulated ones.
    """
    pairs = [(record, step) for record in records for step in record.steps]
    converted = _convert([step for _, step in pairs], clocks)
    link = {name: Origin(facts.link_origin) for name, facts in boards.items()}
    made: list[Timeline] = []
    for (record, step), stamps in zip(pairs, converted, strict=True):
        received, started, finished, bound = stamps
        origin = step.origin
        if origin is Origin.MEASURED and step.board in contended:
            origin = Origin.CONTENDED
        made.append(
            Timeline(
                request=record.request.id,
                board=step.board,
                model=step.model,
                arrival=record.request.arrival,
                decided=step.decided,
                sent=step.sent,
                received=received,
                started=started,
                finished=finished,
                answered=step.answered,
                bound=bound,
                transfer_origin=link.get(step.board, Origin.MEASURED),
                service_origin=origin,
            )
        )
    return tuple(made)


_Stamps = tuple[Ns | None, Ns | None, Ns | None, Ns]


def _convert(steps: list[Step], clocks: ClockBook) -> list[_Stamps]:
    """Board stamps of all steps on the coordinator's clock, one array operation per board and boot."""
    out: list[_Stamps] = [(None, None, None, 0)] * len(steps)
    groups: dict[tuple[str, int], list[int]] = {}
    for place, step in enumerate(steps):
        if step.received is not None and step.started is not None and step.finished is not None:
            groups.setdefault((step.board, step.boot), []).append(place)
    for (board, boot), places in groups.items():
        stamps = np.asarray(
            [[steps[i].received, steps[i].started, steps[i].finished] for i in places], dtype=np.int64
        )
        sent = np.asarray(
            [s.decided if s.sent is None else s.sent for s in map(steps.__getitem__, places)], dtype=np.int64
        )
        answered = np.asarray([steps[i].answered for i in places], dtype=np.int64)
        result = clocks.convert(board, boot, stamps.ravel(), (np.repeat(sent, 3), np.repeat(answered, 3)))
        if result is None:
            continue
        times = result[0].reshape(-1, 3).tolist()
        bounds = result[1].reshape(-1, 3).max(axis=1).tolist()
        for place, (received, started, finished), bound in zip(places, times, bounds, strict=True):
            out[place] = (received, started, finished, bound)
    return out
