"""Which actions wait, which are under way, and what is due; pure, so every rule can be tested without a clock.

An ``Infer`` is *waiting* (no credit yet), then *leaving* (its bytes are on their way into the link), then *sent*,
then perhaps *accepted*, and leaves the ledger when it settles: exactly once, since only `settle` gives it out.
Actions travel under numbers of our own, counted per board object: a policy's ids may begin anew with each trial,
while an agent never executes a number twice.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.model.action import Infer
    from testbed.model.ids import RequestId
    from testbed.ports import Payload
    from testbed.units import Ns
    from testbed.wire import messages as m


class Flight:
    """One ``Infer`` from `Board.send` to its end.

    Attributes:
        kept: positions of the batch that still stand; cancelled ones have dropped out before sending.
        number: what it is called on the wire. message: kept for sending again.
        sent: when its first byte was handed to the link. accepted: the agent said it has it.
        expires, again: when to give it up, and when to send it again.
        cancel: the cancel under way for it. gone: positions that were cancelled on the board.
    """

    __slots__ = (
        "accepted",
        "again",
        "cancel",
        "expires",
        "gone",
        "kept",
        "message",
        "number",
        "order",
        "payload",
        "samples",
        "sent",
        "tries",
    )

    def __init__(self, order: Infer, payload: Payload, samples: tuple[int, ...]) -> None:
        """Wait."""
        self.order = order
        self.payload = payload
        self.samples = samples
        self.kept = tuple(range(len(order.batch)))
        self.number = 0
        self.message: m.Infer | None = None
        self.sent: Ns | None = None
        self.accepted = False
        self.expires: Ns | None = None
        self.again: Ns | None = None
        self.cancel: m.Cancel | None = None
        self.tries = 0
        self.gone: set[int] = set()

    def positions_of(self, requests: tuple[RequestId, ...] | None) -> tuple[int, ...]:
        """Kept positions that belong to these requests; all for ``None``."""
        if requests is None:
            return self.kept
        wanted = set(requests)
        return tuple(p for p in self.kept if self.order.batch[p].request in wanted)

    def requests_at(self, positions: Iterable[int]) -> tuple[RequestId, ...]:
        """The requests at these positions."""
        return tuple(self.order.batch[p].request for p in positions)


class Ledger:
    """All flights of one connection.

    Attributes:
        credits: how many may be under way at a time.
    """

    def __init__(self, credits: int, first_number: int = 1) -> None:
        """Empty; numbers begin at ``first_number``."""
        self.credits = credits
        self.next_number = first_number
        self._waiting: deque[Flight] = deque()
        self._going: dict[int, Flight] = {}
        self._by_order: dict[int, Flight] = {}

    def __len__(self) -> int:
        return len(self._by_order)

    @property
    def waiting(self) -> bool:
        """Whether something waits for its turn."""
        return bool(self._waiting)

    def add(self, flight: Flight) -> None:
        """Let it wait for its turn."""
        self._waiting.append(flight)
        self._by_order[flight.order.id] = flight

    def find(self, order: int) -> Flight | None:
        """By the policy's number."""
        return self._by_order.get(order)

    def going(self, number: int) -> Flight | None:
        """By the number on the wire."""
        return self._going.get(number)

    def overdue(self, now: Ns) -> list[Flight]:
        """Waiting flights whose start window has passed; they are out of the ledger."""
        late = [f for f in self._waiting if f.order.latest is not None and f.order.latest < now]
        for flight in late:
            self._waiting.remove(flight)
            del self._by_order[flight.order.id]
        return late

    def next(self, now: Ns) -> Flight | None:
        """The next that may leave: there is a credit, and its start window has begun."""
        if not self._waiting or len(self._going) >= self.credits:
            return None
        for flight in self._waiting:
            if flight.order.earliest is None or flight.order.earliest <= now:
                if flight is self._waiting[0]:
                    self._waiting.popleft()
                else:
                    self._waiting.remove(flight)
                flight.number = self.next_number
                self.next_number += 1
                self._going[flight.number] = flight
                return flight
        return None

    def drop(self, flight: Flight, positions: tuple[int, ...]) -> bool:
        """Take positions out of a flight that still waits; whether it could be done.

        A flight that lost all its positions is out of the ledger.
        """
        if flight.number:
            return False
        flight.kept = tuple(p for p in flight.kept if p not in positions)
        if not flight.kept:
            self._waiting.remove(flight)
            del self._by_order[flight.order.id]
        return True

    def settle(self, number: int) -> Flight | None:
        """Close a flight that is under way; ``None`` if it was closed before."""
        flight = self._going.pop(number, None)
        if flight is not None:
            del self._by_order[flight.order.id]
        return flight

    def expired(self, now: Ns) -> list[Flight]:
        """Flights given up now; they are out of the ledger."""
        late = [f for f in self._going.values() if f.expires is not None and f.expires <= now]
        for flight in late:
            self.settle(flight.number)
        return late

    def due_again(self, now: Ns) -> Iterator[Flight]:
        """Flights to send again; of those accepted only the first of each lane, since the others wait behind it."""
        lanes: set[int] = set()
        for flight in self._going.values():
            behind = flight.accepted and flight.order.instance in lanes
            if flight.accepted:
                lanes.add(flight.order.instance)
            if flight.again is not None and flight.again <= now and not behind:
                yield flight

    def overtaken_by(self, done: Flight) -> Iterator[Flight]:
        """Accepted flights of the same lane on the board that should have answered before ``done`` did."""
        for number, flight in self._going.items():
            if number >= done.number:
                return
            if flight.accepted and flight.order.instance == done.order.instance:
                yield flight

    def drain(self) -> list[Flight]:
        """Everything that has not settled, oldest first; the ledger is empty afterwards."""
        flights = list(self._by_order.values())
        self._waiting.clear()
        self._going.clear()
        self._by_order.clear()
        return flights
