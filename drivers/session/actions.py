"""The way of each ``Infer`` through one conversation, to exactly one end; without I/O, driven by `Conversation`.

On a lossy line what stays unanswered is sent again: an action that was not accepted in twice its line time, one that
was overtaken by a later action of the same queue, one half-way to its time-out. The agent executes it once anyway.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from drivers.session.ledger import Flight, Ledger
from drivers.session.outcome import execution_of, infer_message, refusal_of
from testbed.errors import BoardError
from testbed.model import event as ev
from testbed.model.action import Transport
from testbed.model.execution import NO_TABLE, WINDOW_MISSED
from testbed.model.origin import Origin
from testbed.units import MS, S
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.boards.composition import Composition
    from testbed.model.action import Cancel, Infer
    from testbed.ports import BoardEvent, Payload
    from testbed.units import Ns

_STAGES = {m.BEFORE_START: "before_start", m.DURING: "during", m.TOO_LATE: "too_late"}
_AGAIN: Ns = 300 * MS
_REPLY_BYTES = 64


class LossyWay(Protocol):
    """What carries lossy orders.

    Attributes:
        why_not: why it cannot; empty while it can.
    """

    why_not: str

    def send(self, flight: Flight) -> None:
        """Take an order on its way; what becomes of it is told."""

    def saw(self, message: m.Done | m.Failed) -> None:
        """The board has said how an order ended."""


class Actions:
    """What is ordered, and what has become of it.

    Attributes:
        ledger: what has not settled.
        datagrams: takes lossy orders, where the board's table has some.
    """

    def __init__(
        self,
        boot: int,
        composition: Composition,
        emit: Callable[[BoardEvent], None],
        now: Callable[[], Ns],
        first_number: int,
    ) -> None:
        """Nothing is ordered; one credit until the agent has said how many it gives."""
        self.ledger = Ledger(1, first_number)
        self.datagrams: LossyWay | None = None
        self._boot = boot
        self._emit = emit
        self._now = now
        self._lossy = composition.lossy
        self._rate = composition.line_bytes_per_s or 12.5e6
        self._limit = composition.common.timeout
        self._origin = Origin(composition.origin)
        self._repeats: deque[Flight] = deque()
        self._cancels: dict[int, Ns] = {}

    # --- orders -----------------------------------------------------------------------------------------

    def add(self, order: Infer, payload: Payload, samples: tuple[int, ...]) -> str | None:
        """Take an order; gives the reason if it cannot be carried out."""
        datagrams = self.datagrams
        why = refusal_of(order, len(payload), NO_TABLE if datagrams is None else datagrams.why_not)
        if why is None and order.earliest is not None and order.earliest - self._now() > self._limit:
            why = f"`earliest` is further ahead than the {self._limit // MS} ms that an action may take"
        if why is None:
            self.ledger.add(Flight(order, payload, samples))
        return why

    def cancel(self, order: Cancel) -> ev.Cancelled | m.Cancel | None:
        """Take back what still can be: the event if that settles it here, or the message that asks the board.

        ``None`` if there is nothing to cancel.
        """
        flight = self.ledger.find(order.action)
        positions = flight.positions_of(order.requests) if flight is not None else ()
        if flight is None or not positions:
            return None
        whole = positions == flight.kept
        if self.ledger.drop(flight, positions):
            gone = None if whole else flight.requests_at(positions)
            return ev.Cancelled(t=self._now(), action=order.action, stage="before_sent", requests=gone)
        items = () if whole else tuple(flight.kept.index(p) for p in positions)
        if flight.cancel is not None and items:
            items = tuple(sorted({*flight.cancel.items, *items})) if flight.cancel.items else ()
        flight.cancel = m.Cancel(flight.number, items)
        self._cancels[flight.number] = self._now() + _AGAIN
        return flight.cancel

    @property
    def may_have_more(self) -> bool:
        """Whether `next` may give something."""
        return bool(self._repeats) or self.ledger.waiting

    # --- sending ----------------------------------------------------------------------------------------

    def next(self) -> tuple[Flight, m.Infer] | None:
        """What leaves next, if anything may."""
        now = self._now()
        while True:
            repeated = bool(self._repeats)
            flight = self._repeats.popleft() if repeated else self.ledger.next(now)
            if flight is None:
                return None
            if repeated and self.ledger.going(flight.number) is not flight:
                continue  # it settled meanwhile
            latest = flight.order.latest
            if not repeated and latest is not None and latest < now:
                self.fail(flight, WINDOW_MISSED)
                continue
            if flight.order.transport is Transport.LOSSY and self.datagrams is not None:
                flight.expires = now + self._limit
                self.datagrams.send(flight)
                continue
            message = flight.message or infer_message(flight)
            if self._lossy:
                flight.message = message
            if flight.expires is None:
                flight.expires = now + self._limit
            return flight, message

    def mark_leaving(self, flight: Flight) -> bool:
        """Its first byte is about to be handed to the link; whether that is the first time."""
        first = flight.sent is None
        if first:
            flight.sent = self._now()
        return first

    def tell_sent(self, flight: Flight) -> None:
        """Tell that it was handed to the link, unless it has ended meanwhile."""
        if flight.sent is not None and self.ledger.going(flight.number) is flight:
            self._emit(ev.Sent(t=flight.sent, action=flight.order.id))

    def mark_sent(self, flight: Flight) -> None:
        """Its last byte was handed to the link."""
        if self._lossy and flight.message is not None:
            now = self._now()
            line = round(2 * (len(flight.message.input.data) + _REPLY_BYTES) * S / self._rate)
            flight.again = now + (_AGAIN + line) * 2**flight.tries

    def stands(self, flight: Flight) -> bool:
        """Whether it has not settled; asked by the datagram channel, like what follows."""
        return self.ledger.going(flight.number) is flight

    def left(self, flight: Flight) -> None:
        """Its first packet is on its way."""
        self.mark_leaving(flight)
        self.tell_sent(flight)

    def unheard(self, flight: Flight) -> m.Cancel | None:
        """All of it is on its way, and it has failed if the board has not said anything; the cancel to send then."""
        if not self.stands(flight) or flight.accepted:
            return None
        self.ledger.settle(flight.number)
        text = "the board says nothing of it: every packet was lost"
        self._emit(ev.Failed(t=self._now(), action=flight.order.id, error=text, lost_frac=1.0))
        return m.Cancel(flight.number, ())

    def fail(self, flight: Flight, why: str) -> None:
        """It cannot be sent."""
        self.ledger.settle(flight.number)
        self._emit(ev.Failed(t=self._now(), action=flight.order.id, error=why))

    def tick(self, now: Ns) -> list[m.Cancel]:
        """Do what is due; gives messages to send. What is to be sent again comes from `next`."""
        messages: list[m.Cancel] = []
        if self._lossy:
            messages += self._repeat(now)
        for flight in self.ledger.overdue(now):
            self._emit(ev.Failed(t=now, action=flight.order.id, error=WINDOW_MISSED))
        for flight in self.ledger.expired(now):
            text = f"no answer within {self._limit // MS} ms"
            self._emit(ev.Failed(t=now, action=flight.order.id, error=text))
            messages.append(m.Cancel(flight.number, ()))
        return messages

    def drain(self, why: str) -> None:
        """The conversation is over: everything fails that has not settled."""
        now = self._now()
        for flight in self.ledger.drain():
            self._emit(ev.Failed(t=now, action=flight.order.id, error=why))

    def _repeat(self, now: Ns) -> list[m.Cancel]:
        for flight in list(self.ledger.due_again(now)):
            flight.again = None
            flight.tries += 1
            self._repeats.append(flight)
        messages = []
        for number, due in list(self._cancels.items()):
            flying = self.ledger.going(number)
            if flying is None or flying.cancel is None:
                del self._cancels[number]
            elif due <= now:
                self._cancels[number] = now + _AGAIN
                messages.append(flying.cancel)
        return messages

    # --- what the agent says ----------------------------------------------------------------------------

    def done(self, message: m.Done) -> None:
        """It was executed."""
        now = self._now()
        flight = self.ledger.settle(message.action)
        if flight is None:
            return
        if flight.order.transport is Transport.LOSSY and self.datagrams is not None:
            self.datagrams.saw(message)
        try:
            execution = execution_of(message, flight, self._origin)
        except (BoardError, ValueError) as error:
            self._emit(ev.Failed(t=now, action=flight.order.id, error=str(error)))
            return
        self._emit(ev.Executed(t=now, action=flight.order.id, execution=execution, boot=self._boot))
        if self._lossy:
            for late in self.ledger.overtaken_by(flight):
                if late.tries == 0:
                    late.again = now  # its answer was lost: the agent remembers it

    def accepted(self, message: m.Accepted) -> None:
        """The board has it."""
        flight = self.ledger.going(message.action)
        if flight is not None:
            flight.accepted = True
            if self._lossy and flight.expires is not None:
                now = self._now()
                flight.again = now + (flight.expires - now) // 2

    def failed(self, message: m.Failed) -> None:
        """The board could not."""
        now = self._now()
        flight = self.ledger.settle(message.number)
        if flight is not None:
            if flight.order.transport is Transport.LOSSY and self.datagrams is not None:
                self.datagrams.saw(message)
            text = WINDOW_MISSED if message.code == "window" else f"{message.code}: {message.text}"
            self._emit(
                ev.Failed(
                    t=now,
                    action=flight.order.id,
                    error=text,
                    traceback=message.traceback,
                    lost_frac=message.lost_frac,
                )
            )

    def cancelled(self, message: m.Cancelled) -> None:
        """What became of a cancel; items that the board cancelled twice are told once."""
        flight = self.ledger.going(message.action)
        if flight is None:
            return
        now = self._now()
        stage = _STAGES.get(message.stage, "too_late")
        flight.cancel = None
        requests = None
        if message.items:
            named = [flight.kept[i] for i in message.items if i < len(flight.kept)]
            fresh = [position for position in named if position not in flight.gone]
            if not fresh:
                return
            requests = flight.requests_at(fresh)
            if stage != "too_late":
                flight.gone.update(fresh)
        elif stage != "too_late":
            self.ledger.settle(message.action)
        self._emit(ev.Cancelled(t=now, action=flight.order.id, stage=stage, requests=requests))
