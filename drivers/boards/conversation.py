"""One wire session over one open link: orders in, events out, every action with exactly one end.

Three tasks: a reader, a writer that waits on the link's back-pressure, and a ticker for everything that is due.
At most one bulk message is inside the session at a time, so that it is known when its last byte left, cancels
before sending stay possible as long as can be, and files never hold up an ``Infer`` for more than one piece.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from drivers.boards.greeting import greet
from drivers.boards.ledger import Flight, Ledger
from drivers.boards.outcome import execution_of, infer_message, refusal_of
from drivers.boards.probing import Prober
from drivers.boards.rails import total_rails
from testbed.errors import BoardError, LinkError, LocalWireError, RemoteWireError, WireError
from testbed.model import event as ev
from testbed.model.execution import WINDOW_MISSED
from testbed.model.origin import Origin
from testbed.model.record import PowerSamples
from testbed.units import MS, Ns, S
from testbed.wire import Role, Session
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.boards.composition import Composition
    from testbed.model.action import Cancel, Infer
    from testbed.ports import BoardEvent, Link, Payload

_log = logging.getLogger(__name__)
_STAGES = {m.BEFORE_START: "before_start", m.DURING: "during", m.TOO_LATE: "too_late"}
_WRITE_BYTES = 64 * 1024
_QUIET: Ns = 300 * MS
_AGAIN: Ns = 300 * MS
_REPLY_BYTES = 64


class Conversation:
    """The time between a greeting and the loss of the link.

    Attributes:
        welcome: what the agent said at the greeting.
        boot: counts the board's connections.
        reason: why it ended, once it has.
        blobs: the newest that was said of each file.
    """

    def __init__(
        self,
        link: Link,
        board: str,
        boot: int,
        composition: Composition,
        emit: Callable[[BoardEvent], None],
        now: Callable[[], Ns],
        first_number: int = 1,
    ) -> None:
        """Take an open link; nothing is said before `greet`."""
        self.boot = boot
        self.welcome: m.Welcome | None = None
        self.reason: LinkError | BoardError | None = None
        self._link = link
        self._board = board
        self._parts = composition
        self._common = composition.common
        self._emit = emit
        self._now = now
        self._lossy = composition.lossy
        self._rate = composition.line_bytes_per_s or 12.5e6
        self._session = Session(Role.HOST, chunk_bytes=composition.chunk_bytes)
        self._budget = composition.chunk_bytes if self._lossy else _WRITE_BYTES
        self._ledger = Ledger(1, first_number)
        self._origin = Origin(composition.origin)
        self._leaving: Flight | None = None
        self._repeats: deque[Flight] = deque()
        self._pieces: deque[m.PutBlob] = deque()
        self._piece_turn = False
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._heard = now()
        self._asked = now()
        self.blobs: dict[str, m.BlobState] = {}
        self._answers: dict[tuple[str, Any], asyncio.Future[Any]] = {}
        self._requests = 0
        self._cancels: dict[int, Ns] = {}
        self._prober = Prober(board, boot, composition, emit)
        self._handlers: dict[type, Callable[[Any], None]] = {
            m.Done: self._done,
            m.Accepted: self._accepted,
            m.Failed: self._failed,
            m.Cancelled: self._cancelled,
            m.PowerSamples: self._power,
            m.Log: self._logged,
            m.BlobState: self._blob,
            m.Loaded: lambda x: self._answer(("request", x.request), x),
            m.SettingsReply: lambda x: self._answer(("request", x.request), x),
            m.Started: lambda _: None,
            m.Goodbye: lambda x: self.end(LinkError(f"the agent ended: {x.reason}", link=link.name)),
        }

    @property
    def next_number(self) -> int:
        """Where the numbers of the next connection begin."""
        return self._ledger.next_number

    @property
    def in_flight(self) -> int:
        """Actions that have not settled."""
        return len(self._ledger)

    async def greet(self, fence: int) -> m.Welcome:
        """Say hello and hear who is there.

        Raises:
            LinkError: the link ended, or nobody answered in time.
            BoardError: the agent refuses us.
        """
        limit = self._now() + self._common.connect_timeout_ms * MS
        welcome = await greet(self._session, self._link, self._board, self._parts, fence, limit, self._now)
        own = self._common.max_inflight
        self._ledger.credits = min(own, welcome.max_inflight) if own else max(1, welcome.max_inflight)
        self._heard = self._asked = self._now()
        self.welcome = welcome
        return welcome

    async def run(self) -> None:
        """Talk until the link is lost or `end` is called; everything in flight has failed afterwards."""
        try:
            async with asyncio.TaskGroup() as group:
                works = (self._read_on(), self._write_on(), self._tick_on())
                tasks = [group.create_task(self._guard(work)) for work in works]
                await self._ended.wait()
                for task in tasks:
                    task.cancel()
        finally:
            why = str(self.reason or "the board was closed")
            for flight in self._ledger.drain():
                self._emit(ev.Failed(t=self._now(), action=flight.order.id, error=why))
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(self.reason or LinkError(why, link=self._link.name))
                    answer.exception()  # whoever waited may be gone: then this is not an accident
            self._prober.end()

    def end(self, reason: LinkError | BoardError | None = None) -> None:
        """Make `run` return; the first reason stays."""
        if not self._ended.is_set():
            self.reason = reason
            self._ended.set()

    async def wait_ended(self) -> None:
        """Wait until the conversation is over."""
        await self._ended.wait()

    # --- orders -----------------------------------------------------------------------------------------

    def infer(self, order: Infer, payload: Payload, samples: tuple[int, ...]) -> str | None:
        """Queue an order; gives the reason if it cannot be carried out."""
        why = refusal_of(order, len(payload))
        if why is None:
            self._ledger.add(Flight(order, payload, samples))
            self._wake.set()
            if order.earliest is not None and (wait := order.earliest - self._now()) > 0:
                asyncio.get_running_loop().call_later(wait / S, self._wake.set)
        return why

    def cancel(self, order: Cancel) -> None:
        """Take back what still can be; a settled action is left alone."""
        flight = self._ledger.find(order.action)
        positions = flight.positions_of(order.requests) if flight is not None else ()
        if flight is None or not positions:
            return
        whole = positions == flight.kept
        if self._ledger.drop(flight, positions):
            gone = None if whole else flight.requests_at(positions)
            event = ev.Cancelled(t=self._now(), action=order.action, stage="before_sent", requests=gone)
            asyncio.get_running_loop().call_soon(self._emit, event)  # never while the caller still sends
            return
        items = () if whole else tuple(flight.kept.index(p) for p in positions)
        if flight.cancel is not None and items:
            items = tuple(sorted({*flight.cancel.items, *items})) if flight.cancel.items else ()
        flight.cancel = m.Cancel(flight.number, items)
        self._cancels[flight.number] = self._now() + _AGAIN
        self.say(flight.cancel)

    def say(self, message: m.Message) -> None:
        """Queue a small message.

        Raises:
            LocalWireError: it cannot be sent in this state.
        """
        self._session.send(message)
        self._wake.set()

    def put_piece(self, piece: m.PutBlob) -> None:
        """Queue a piece of a file; it waits for its turn between the actions."""
        self._pieces.append(piece)
        self._wake.set()

    def take_request(self) -> int:
        """A fresh request number."""
        self._requests += 1
        return self._requests

    async def ask(self, message: m.Message, key: tuple[str, Any], limit: Ns) -> Any:  # noqa: ANN401 - a message
        """Send, and wait for the answer at most ``limit``; on a lossy line ask again every second or so.

        Raises:
            BoardError: the agent refused, or there was no answer in time.
            LinkError: the link was lost.
        """
        self.say(message)
        return await self.answer(key, limit, again=message)

    async def answer(self, key: tuple[str, Any], limit: Ns, again: m.Message | None = None) -> Any:  # noqa: ANN401
        """Wait for an answer; see `ask`."""
        if self._ended.is_set():
            raise LinkError("the link was lost", link=self._link.name)
        answer = self._answers[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(limit / S):
                while not answer.done():
                    await asyncio.wait((answer,), timeout=1.0 if self._lossy else None)
                    if self._lossy and again is not None and not answer.done():
                        self.say(again)
                return answer.result()
        except TimeoutError as error:
            raise BoardError(f"no answer within {limit / S:g} s", board=self._board) from error
        finally:
            if self._answers.get(key) is answer:
                del self._answers[key]

    async def probe(self, count: int) -> ev.NetworkSeen | None:
        """Exchange clock probes; the network as they saw it, ``None`` if none came back."""
        return await self._prober.run(count, self._send_probe)

    def set_rate(self, bytes_per_s: float) -> None:
        """Note the rate that an upload reached."""
        self._prober.up_bytes_per_s = bytes_per_s

    def _send_probe(self) -> None:
        self._session.send_late(m.Probe, lambda: self._prober.make(self._now()))
        self._asked = self._now()
        self._wake.set()

    # --- tasks ------------------------------------------------------------------------------------------

    async def _guard(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        try:
            await work
        except (LinkError, BoardError) as error:
            self.end(error)
        except WireError as error:
            self.end(LinkError(f"the agent breaks the rules of the wire: {error}", link=self._link.name))

    async def _read_on(self) -> None:
        read, receive, now = self._link.read, self._session.receive, self._now
        while data := await read():
            self._heard = t3 = now()
            try:
                self._handle(receive(data), t3)
            except RemoteWireError as error:
                self._handle(error.messages, t3)
                raise
        await self._link.write(b"\0")  # raises, and the link itself knows best why it ended
        raise LinkError("the board closed the link", link=self._link.name)

    def _handle(self, messages: list[Any], t3: Ns) -> None:
        for message in messages:
            handler = self._handlers.get(type(message))
            if handler is not None:
                handler(message)
            elif isinstance(message, m.ProbeReply):
                self._prober.take(message, t3)

    async def _write_on(self) -> None:
        write, wake = self._link.write, self._wake
        while True:
            data, left = self._gather()
            if not data:
                wake.clear()
                await wake.wait()
                continue
            await write(data)
            for flight in left:
                self._mark_sent(flight)

    def _gather(self) -> tuple[bytes, list[Flight]]:
        """The next bytes for the link, and the flights whose last byte is among them."""
        session, budget = self._session, self._budget
        parts: list[bytes] = []
        left: list[Flight] = []
        size = 0
        while size < budget:
            if not session.wants_to_send and not self._feed():
                break
            data = session.data_to_send(budget - size)
            parts.append(data)
            size += len(data)
            if self._leaving is not None and not session.wants_to_send:
                left.append(self._leaving)
                self._leaving = None
        return b"".join(parts), left

    def _feed(self) -> bool:
        """Give the empty session its next bulk message; actions and pieces of files take turns."""
        self._piece_turn = not self._piece_turn
        if self._pieces and (self._piece_turn or not self._feed_action()):
            self._session.send(self._pieces.popleft())
            return True
        return self._leaving is not None or self._feed_action()

    def _feed_action(self) -> bool:
        now = self._now()
        while True:
            repeated = bool(self._repeats)
            flight = self._repeats.popleft() if repeated else self._ledger.next(now)
            if flight is None:
                return False
            if repeated and self._ledger.going(flight.number) is not flight:
                continue  # it settled meanwhile
            latest = flight.order.latest
            if not repeated and latest is not None and latest < now:
                self._fail(flight, WINDOW_MISSED)
                continue
            message = flight.message or infer_message(flight)
            try:
                self._session.send(message)
            except LocalWireError as error:
                self._fail(flight, str(error))
                continue
            if self._lossy:
                flight.message = message
            if flight.expires is None:
                flight.expires = now + self._common.timeout
            self._leaving = flight
            return True

    def _mark_sent(self, flight: Flight) -> None:
        now = self._now()
        if flight.sent is None:
            flight.sent = now
            if self._ledger.going(flight.number) is flight:
                self._emit(ev.Sent(t=now, action=flight.order.id))
        if self._lossy and flight.message is not None:
            line = round(2 * (len(flight.message.input.data) + _REPLY_BYTES) * S / self._rate)
            flight.again = now + (_AGAIN + line) * 2**flight.tries

    async def _tick_on(self) -> None:
        period_s = 0.05 if self._lossy else 0.1
        while True:
            await asyncio.sleep(period_s)
            now = self._now()
            if self._lossy:
                self._send_again(now)
            for flight in self._ledger.overdue(now):
                self._emit(ev.Failed(t=now, action=flight.order.id, error=WINDOW_MISSED))
            for flight in self._ledger.expired(now):
                text = f"no answer within {self._common.timeout_ms} ms"
                self._emit(ev.Failed(t=now, action=flight.order.id, error=text))
                self.say(m.Cancel(flight.number, ()))
            self._watch(now)

    def _send_again(self, now: Ns) -> None:
        if self._session.waiting_bytes and now - self._heard > _QUIET:
            self._handle(self._session.resync(), now)
        for flight in list(self._ledger.due_again(now)):
            flight.again = None
            flight.tries += 1
            self._repeats.append(flight)
            self._wake.set()
        for number, due in list(self._cancels.items()):
            flying = self._ledger.going(number)
            if flying is None or flying.cancel is None:
                del self._cancels[number]
            elif due <= now:
                self._cancels[number] = now + _AGAIN
                self.say(flying.cancel)

    def _watch(self, now: Ns) -> None:
        """Ask after an agent that has been silent; give up one that stays so."""
        silence = self._common.silence_ms * MS
        quiet = now - self._heard
        if quiet > silence and self._asked > self._heard and now - self._asked > silence // 6:
            cure = "See whether the board hangs"
            text = f"nothing was heard for {quiet / S:.1f} s"
            self.end(LinkError(text, link=self._link.name, cure=cure))
        elif quiet > silence // 3 and (self._asked <= self._heard or now - self._asked > silence // 3):
            self._send_probe()

    # --- what the agent says ----------------------------------------------------------------------------

    def _done(self, message: m.Done) -> None:
        flight = self._settle(message.action)
        if flight is None:
            return
        try:
            execution = execution_of(message, flight, self._origin)
        except (BoardError, ValueError) as error:
            self._emit(ev.Failed(t=self._now(), action=flight.order.id, error=str(error)))
            return
        self._emit(ev.Executed(t=self._heard, action=flight.order.id, execution=execution, boot=self.boot))
        if self._lossy:
            for late in self._ledger.overtaken_by(flight):
                if late.tries == 0:
                    late.again = self._heard  # its answer was lost: the agent remembers it

    def _accepted(self, message: m.Accepted) -> None:
        flight = self._ledger.going(message.action)
        if flight is not None:
            flight.accepted = True
            if self._lossy and flight.expires is not None:
                flight.again = self._heard + (flight.expires - self._heard) // 2

    def _failed(self, message: m.Failed) -> None:
        if message.of == "request":
            text = f"{message.code}: {message.text}"
            answer = self._answers.get(("request", message.number))
            if answer is not None and not answer.done():
                answer.set_exception(BoardError(text, board=self._board, traceback=message.traceback))
            return
        flight = self._settle(message.number)
        if flight is not None:
            text = f"{message.code}: {message.text}"
            action = flight.order.id
            self._emit(ev.Failed(t=self._heard, action=action, error=text, traceback=message.traceback))

    def _cancelled(self, message: m.Cancelled) -> None:
        flight = self._ledger.going(message.action)
        if flight is None:
            return
        stage = _STAGES.get(message.stage, "too_late")
        flight.cancel = None
        requests = None
        if message.items:
            fresh = [
                flight.kept[i]
                for i in message.items
                if i < len(flight.kept) and flight.kept[i] not in flight.gone
            ]
            if not fresh:
                return
            requests = flight.requests_at(fresh)
            if stage != "too_late":
                flight.gone.update(fresh)
        elif stage != "too_late":
            self._settle(message.action)
        self._emit(ev.Cancelled(t=self._heard, action=flight.order.id, stage=stage, requests=requests))

    def _settle(self, number: int) -> Flight | None:
        flight = self._ledger.settle(number)
        if flight is not None:
            self._wake.set()  # a credit is free
            if flight.sent is None:  # the answer was faster than the writer's turn
                flight.sent = self._heard
                self._emit(ev.Sent(t=self._heard, action=flight.order.id))
        return flight

    def _fail(self, flight: Flight, why: str) -> None:
        self._ledger.settle(flight.number)
        self._emit(ev.Failed(t=self._now(), action=flight.order.id, error=why))

    def _power(self, message: m.PowerSamples) -> None:
        self._emit(
            PowerSamples(
                board=self._board,
                boot=self.boot,
                meter=message.meter,
                rails=tuple(message.rails),
                total=total_rails(message.rails),
                t=tuple(message.t),
                power_w=tuple(message.power_w),
                origin=self._parts.origin,
                dropped=message.dropped,
            )
        )

    def _logged(self, message: m.Log) -> None:
        _log.log(message.level, "%s: %s", self._board, message.text)

    def _blob(self, message: m.BlobState) -> None:
        self.blobs[message.sha256] = message
        self._answer(("blob", message.sha256), message)

    def _answer(self, key: tuple[str, Any], message: m.Message) -> None:
        answer = self._answers.get(key)
        if answer is not None and not answer.done():
            answer.set_result(message)
