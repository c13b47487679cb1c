"""One wire session over one open link: orders in, events out, every action with exactly one end.

Three tasks: a reader, a writer (`drivers.session.writer`), and a ticker for everything that is due. Over a `PromptLink`
neither reader nor writer is woken for a request as long as the link has room.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from drivers.links.stream import PromptLink
from drivers.session.actions import Actions
from drivers.session.datagrams import Datagrams
from drivers.session.fates import Fates
from drivers.session.greeting import greet
from drivers.session.metering import power_event
from drivers.session.probing import Prober
from drivers.session.questions import Questions
from drivers.session.writer import Writer
from testbed.errors import BoardError, LinkError, LocalWireError, RemoteWireError, WireError
from testbed.model import event as ev
from testbed.units import MS, Ns, S
from testbed.wire import Role, Session
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from drivers.boards.composition import Composition
    from drivers.session.lossy import Encoder
    from testbed.model.action import Cancel, Infer
    from testbed.ports import BoardEvent, Link, Payload
    from testbed.wire.claim import Claim

_log = logging.getLogger(__name__)
_QUIET: Ns = 300 * MS
_TOGETHER = 4
"""Answers of one read that are handled before what was ordered meanwhile is written: no order waits for more."""


class Conversation:
    """The time between a greeting and the loss of the link.

    Attributes:
        welcome: what the agent said at the greeting.
        boot: counts the board's connections.
        reason: why it ended, once it has.
        questions: to the agent, but for orders.
        datagrams: the channel for lossy orders, where the board's table has some.
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
        encoder: Encoder | None = None,
    ) -> None:
        """Take an open link; nothing is said before `greet`."""
        self.boot = boot
        self.welcome: m.Welcome | None = None
        self.reason: LinkError | BoardError | None = None
        self._link = link
        self._prompt = link if isinstance(link, PromptLink) else None
        self._board = board
        self._parts = composition
        self._common = composition.common
        self._emit = emit
        self._now = now
        self._lossy = composition.lossy
        self._session = Session(Role.HOST, chunk_bytes=composition.chunk_bytes)
        self._actions = Actions(boot, composition, self._tell, now, first_number)
        self._writer = Writer(link, self._session, self._actions, composition.chunk_bytes)
        self._accident: Exception | None = None
        self._ended = asyncio.Event()
        self.questions = Questions(self.say, self._ended, board, link.name, lossy=composition.lossy)
        self._heard = now()
        self._asked = now()
        self._prober = Prober(board, boot, composition, emit)
        fates = Fates(self._actions, self._prober, self._hear_datagram, self._say_if_open, now)
        self.datagrams = (
            None
            if composition.lossy_orders is None or encoder is None
            else Datagrams(composition.lossy_orders, encoder, fates, now, composition.between)
        )
        self._actions.datagrams = self.datagrams
        self._handlers: dict[type, Callable[[Any], None]] = {
            m.Done: self._actions.done,
            m.Accepted: self._actions.accepted,
            m.Failed: self._failed,
            m.Cancelled: self._actions.cancelled,
            m.PowerSamples: self._power,
            m.Log: self._logged,
            m.BlobState: self.questions.told_of_file,
            m.Loaded: self.questions.answered,
            m.SettingsReply: self.questions.answered,
            m.DatagramsOpen: self.questions.answered,
            m.Started: lambda _: None,
            m.Goodbye: lambda x: self.end(LinkError(f"the agent ended: {x.reason}", link=link.name)),
        }

    @property
    def next_number(self) -> int:
        """Where the numbers of the next connection begin."""
        return self._actions.ledger.next_number

    async def greet(self, claim: Claim) -> m.Welcome:
        """Say hello and hear who is there.

        Raises:
            LinkError: the link ended, or nobody answered in time.
            LeaseError: the board is somebody else's. BoardError: the agent refuses us.
        """
        limit = self._now() + self._common.connect_timeout_ms * MS
        welcome = await greet(self._session, self._link, self._board, self._parts, claim, limit, self._now)
        own = self._common.max_inflight
        self._actions.ledger.credits = min(own, welcome.max_inflight) if own else max(1, welcome.max_inflight)
        self._heard = self._asked = self._now()
        self.welcome = welcome
        return welcome

    async def run(self) -> None:
        """Talk until the link is lost or `end` is called; everything in flight has failed afterwards."""
        try:
            async with asyncio.TaskGroup() as group:
                works = (self._read_on, self._writer.run, self._tick_on)
                tasks = [group.create_task(self._guard(work)) for work in works]
                await self._ended.wait()
                if self._accident is not None:
                    raise self._accident
                for task in tasks:
                    task.cancel()
        finally:
            why = str(self.reason or "the board was closed")
            if self.datagrams is not None:
                self.datagrams.close(why)
            self._actions.drain(why)
            self.questions.close(self.reason or LinkError(why, link=self._link.name))
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
        if self._ended.is_set():
            return "the link was lost"
        why = self._actions.add(order, payload, samples)
        if why is None:
            try:
                self._writer.send_at_once()
            except WireError as error:
                self._break(error)  # which settles this order with the others
            if order.earliest is not None and (wait := order.earliest - self._now()) > 0:
                asyncio.get_running_loop().call_later(wait / S, self._writer.wake)
        return why

    def cancel(self, order: Cancel) -> None:
        """Take back what still can be; a settled action is left alone."""
        outcome = self._actions.cancel(order)
        if isinstance(outcome, m.Cancel):
            self._say_if_open(outcome)
        elif outcome is not None:
            asyncio.get_running_loop().call_soon(self._emit, outcome)  # never while the caller still sends

    def say(self, message: m.Message) -> None:
        """Queue a small message.

        Raises:
            LocalWireError: it cannot be sent in this state.
        """
        self._session.send(message)
        self._writer.wake()

    def put_piece(self, piece: m.PutBlob) -> None:
        """Queue a piece of a file; it waits for its turn between the actions."""
        self._writer.put_piece(piece)

    async def probe(self, count: int) -> ev.NetworkSeen | None:
        """Exchange clock probes; the network as they saw it, ``None`` if none came back."""
        return await self._prober.run(count, self._send_probe)

    def set_rate(self, bytes_per_s: float) -> None:
        """Note the rate that an upload reached."""
        self._prober.up_bytes_per_s = bytes_per_s

    def _send_probe(self) -> None:
        self._session.send_late(m.Probe, lambda: self._prober.make(self._now()))
        self._asked = self._now()
        self._writer.wake()

    def _tell(self, event: BoardEvent) -> None:
        """Emit what became of an action, but no failure while the caller still orders it."""
        if self._writer.at_once and isinstance(event, ev.Failed):
            asyncio.get_running_loop().call_soon(self._emit, event)
        else:
            self._emit(event)

    # --- tasks ------------------------------------------------------------------------------------------

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (LinkError, BoardError) as error:
            self.end(error)
        except WireError as error:
            self._break(error)

    def _break(self, error: WireError) -> None:
        self.end(LinkError(f"the agent breaks the rules of the wire: {error}", link=self._link.name))

    async def _read_on(self) -> None:
        if self._prompt is not None:
            self._prompt.listen(self._hear)
        try:
            while data := await self._link.read():
                self._take(data)
        finally:
            if self._prompt is not None:
                self._prompt.listen(None)
        await self._link.write(b"\0")  # raises, and the link itself knows best why it ended
        raise LinkError("the board closed the link", link=self._link.name)

    def _hear(self, data: bytes) -> None:
        """Take what the link hands over at once; what goes wrong ends the conversation, as in its tasks."""
        try:
            self._take(data)
        except WireError as error:
            self._break(error)
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self._accident = error
            self.end()

    def _hear_datagram(self, message: m.Message) -> None:
        try:
            self._handle([message], self._now())
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self._accident = error
            self.end()

    def _say_if_open(self, message: m.Message) -> None:
        with contextlib.suppress(LocalWireError):  # the session is over: losing the link settles everything
            self.say(message)

    def _take(self, data: bytes) -> None:
        self._heard = t3 = self._now()
        try:
            self._handle(self._session.receive(data), t3)
        except RemoteWireError as error:
            self._handle(error.messages, t3)
            raise

    def _handle(self, messages: list[Any], t3: Ns) -> None:
        handlers, writer = self._handlers, self._writer
        try:
            for left in range(len(messages) - 1, -1, -1):
                writer.held = (
                    left % _TOGETHER > 0
                )  # what these answers make the policy order leaves in one write
                message = messages[-1 - left]
                handler = handlers.get(type(message))
                if handler is not None:
                    handler(message)
                elif isinstance(message, m.ProbeReply):
                    self._prober.take(message, t3)
                if not writer.held and self._actions.ledger.waiting:
                    writer.send_at_once()  # what was held, or what had no credit yet
        finally:
            writer.held = False

    async def _tick_on(self) -> None:
        period_s = 0.05 if self._lossy else 0.1
        while True:
            await asyncio.sleep(period_s)
            now = self._now()
            if self._lossy and self._session.waiting_bytes and now - self._heard > _QUIET:
                self._handle(self._session.resync(), now)
            for message in self._actions.tick(now):
                self.say(message)
            if self._lossy:
                self._writer.wake()  # something may have to be sent again
            self._watch(now)

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

    def _failed(self, message: m.Failed) -> None:
        if message.of == "action":
            self._actions.failed(message)
        else:
            self.questions.refused(message)

    def _power(self, message: m.PowerSamples) -> None:
        facts = self.welcome.facts if self.welcome is not None else {}
        self._emit(power_event(message, facts, self._board, self.boot, self._parts.origin))

    def _logged(self, message: m.Log) -> None:
        _log.log(message.level, "%s: %s", self._board, message.text)
