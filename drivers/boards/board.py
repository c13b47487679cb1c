"""A board with an agent: connects, keeps what should be resident resident, comes back after every loss.

==========  =====================================================================  =================================
phase       what happens                                                           what the sink gets
==========  =====================================================================  =================================
connecting  prepare, open the link, greet; after a failure again with back-off     -
settling    settings, meters, models that were resident                            -
up          orders go out, answers come in                                         BoardUp first, then their events
lost        everything in flight has failed; then connecting again                 Failed …, BoardDown
taken       somebody else holds the board now: it is not connected again           BoardDown (``taken``)
==========  =====================================================================  =================================
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING

from drivers.boards.checks import examine
from drivers.boards.facts import facts_of
from drivers.boards.identity import check_same
from drivers.links.health import Backoff
from drivers.session import settings
from drivers.session.conversation import Conversation
from drivers.session.greeting import claim_of
from drivers.session.load_queue import LoadQueue
from drivers.session.loading import Loader
from drivers.session.lossy import Encoder
from drivers.session.metering import wanted_meters
from testbed.errors import BoardError, LeaseError, LinkError, TestbedError, WireError
from testbed.model import event as ev
from testbed.model.action import Cancel, Infer, Load
from testbed.model.lab import BoardFacts, BoardSpec, CheckResult
from testbed.units import MS
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from drivers.boards.composition import Composition
    from testbed.ports import BoardEvent, Link, Payload, Sink
    from testbed.units import Ns

_log = logging.getLogger(__name__)
_BYE_S = 2.0
_PUT_BACK_S = 20.0
"""More where settings are to be put back: a power mode that takes cores off line takes seconds."""
_CLOSE_S = 5.0


class AgentBoard:
    """One device that runs our agent; see `testbed.ports.Board` for what each method promises."""

    def __init__(
        self, spec: BoardSpec, composition: Composition, *, now: Callable[[], Ns] = time.monotonic_ns
    ) -> None:
        """Nothing is contacted before `open`.

        Args:
            spec: from the lab file.
            composition: its parts.
            now: the coordinator's monotonic clock [ns].
        """
        self._spec = spec
        self._parts = composition
        self._now = now
        self._sink: Sink | None = None
        self._loader = Loader(spec, composition)
        lossy = composition.lossy_orders
        self._encoder = None if lossy is None else Encoder(lossy)
        self._loads = LoadQueue(spec.id, self._loader, self._emit, now)
        self._settings = settings.Settings(composition.settings, spec.id)
        self._first: m.Welcome | None = None
        self._talk: Conversation | None = None
        self._life: asyncio.Task[None] | None = None
        self._boot = 0
        self._next_number = 1
        self._closing = False

    @property
    def id(self) -> str:
        """Name in the lab file."""
        return self._spec.id

    @property
    def resource(self) -> str:
        """The device behind it; see `testbed.ports.CheckableBoard.resource`."""
        return self._parts.resource()

    async def open(self, sink: Sink) -> BoardFacts:
        """Connect, deploy, greet; see `testbed.ports.Board.open`.

        Raises:
            LinkError, BoardError: it could not be brought up. LeaseError: it is somebody else's.
        """
        if self._life is not None:
            raise BoardError("the board is open already", board=self.id)
        self._sink = sink
        self._closing = False
        ready: asyncio.Future[BoardFacts] = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(ready), name=f"board {self.id}")
        self._life.add_done_callback(lambda life: self._give_up(life, ready))
        try:
            return await asyncio.shield(ready)
        except TestbedError:
            await asyncio.wait((self._life,), timeout=_CLOSE_S)  # it tidies up by itself
            raise
        finally:
            if not ready.done() or ready.cancelled() or ready.exception() is not None:
                await self.close()

    def send(
        self, order: Infer | Load | Cancel, payload: Payload | None = None, samples: tuple[int, ...] = ()
    ) -> None:
        """Queue an order; see `testbed.ports.Board.send`."""
        talk = self._talk
        if isinstance(order, Cancel):
            if talk is not None:
                talk.cancel(order)
        elif talk is None:
            self._fail_soon(order.id, "the board is down")
        elif isinstance(order, Load):
            self._loads.add(order)
        elif payload is None:
            self._fail_soon(order.id, "an action without inputs")
        else:
            why = talk.infer(order, payload, samples)
            if why is not None:
                self._fail_soon(order.id, why)

    async def probe(self, count: int = 8) -> None:
        """Exchange clock probes; see `testbed.ports.Board.probe`. A board that is down gives none."""
        talk = self._talk
        if talk is not None:
            try:
                seen = await talk.probe(count)
            except WireError:
                return  # the session has just ended; BoardDown tells
            if seen is not None:
                self._emit(seen)

    async def tell(self, name: str) -> str:
        """Read a setting or the board's condition; see `testbed.ports.TellingBoard.tell`.

        Raises:
            BoardError: the board is down, or has no such thing. LinkError: the link was lost.
        """
        talk = self._talk
        if talk is None:
            raise BoardError("the board is down", board=self.id)
        return await settings.read(talk.questions, name, self.id)

    async def close(self) -> None:
        """Put settings back, say goodbye, stop what was started; bounded in time."""
        self._closing = True
        talk, life = self._talk, self._life
        self._talk = self._life = None
        if talk is not None:
            await self._part(talk)
        if life is not None:
            life.cancel()
            await asyncio.wait((life,), timeout=_CLOSE_S)
            if life.done() and not life.cancelled() and life.exception() is not None:
                raise BoardError("the driver failed", board=self.id) from life.exception()

    def checks(self) -> AsyncIterator[CheckResult]:
        """Examine the board step by step; see `testbed.ports.CheckableBoard.checks`."""
        return examine(self._spec, self._parts, self._now)

    # --- life -------------------------------------------------------------------------------------------

    async def _live(self, ready: asyncio.Future[BoardFacts]) -> None:
        link = self._parts.link()
        backoff = Backoff(random.Random(f"{self._spec.seed}/{self.id}"))
        try:
            while not self._closing:
                try:
                    talk, welcome = await self._connect(link)
                    await self._keep_up(talk, welcome, ready, backoff)
                except (TestbedError, OSError) as error:
                    if not ready.done():
                        ready.set_exception(error)
                        return
                    _log.info("%s is not back yet: %s", self.id, error)
                    if isinstance(error, LeaseError):
                        self._emit(ev.BoardDown(t=self._now(), board=self.id, error=str(error), taken=True))
                        return
                finally:
                    await link.close()
                await asyncio.sleep(backoff.next_s())
        finally:
            await link.close()
            if self._parts.close is not None:
                await self._parts.close()

    async def _connect(self, link: Link) -> tuple[Conversation, m.Welcome]:
        parts = self._parts
        if parts.prepare is not None:
            await parts.prepare()
        await link.open()
        self._boot += 1
        talk = Conversation(
            link, self.id, self._boot, parts, self._emit, self._now, self._next_number, self._encoder
        )
        welcome = await talk.greet(claim_of(self._spec, parts.common.silence_ms))
        self._first = self._first or welcome
        check_same(self._first, welcome, self.id)
        return talk, welcome

    def _give_up(self, life: asyncio.Task[None], ready: asyncio.Future[BoardFacts]) -> None:
        """Whatever ends the life, `open` does not wait for ever."""
        if not ready.done():
            error = BoardError("the driver ended before the board was up", board=self.id)
            error.__cause__ = None if life.cancelled() else life.exception()
            ready.set_exception(error)
            ready.exception()  # `open` may have been cancelled: then nobody else looks at it

    async def _keep_up(
        self, talk: Conversation, welcome: m.Welcome, ready: asyncio.Future[BoardFacts], backoff: Backoff
    ) -> None:
        """One connection from settling in to its loss.

        Raises:
            BoardError, LinkError: it was lost before it was up.
        """
        up = False
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(talk.run())
                settling = group.create_task(self._settle(talk, welcome))
                await asyncio.wait((running, settling), return_when=asyncio.FIRST_COMPLETED)
                facts = settling.result() if settling.done() else None
                if isinstance(facts, BoardFacts) and not running.done():
                    up = True
                    backoff.reset()
                    self._talk = talk
                    resident, boot_id = tuple(self._loader.resident.items()), welcome.boot_id
                    up_event = ev.BoardUp(
                        t=self._now(), board=self.id, boot=self._boot, resident=resident, boot_id=boot_id
                    )
                    self._emit(up_event)
                    if not ready.done():
                        ready.set_result(facts)
                    loading = group.create_task(self._loads.run(talk))
                    await running
                    loading.cancel()
                elif settling.done():
                    talk.end()
        finally:
            self._next_number = talk.next_number
            self._talk = None
            why = str(talk.reason or "the board was closed")
            self._loads.fail(why)
            if up and not self._closing:
                self._emit(ev.BoardDown(t=self._now(), board=self.id, error=why))
        if not up:
            found = settling.result() if settling.done() and not settling.cancelled() else None
            raise found if isinstance(found, TestbedError) else talk.reason or LinkError(why)

    async def _settle(self, talk: Conversation, welcome: m.Welcome) -> BoardFacts | TestbedError:
        """Bring a fresh connection to where the last one was; the error if that is not possible."""
        common, lossy = self._parts.common, ""
        try:
            await self._settings.make(talk.questions)
            for meter in wanted_meters(welcome.facts, common, self.id):
                talk.say(m.Meter(meter, True, common.meter_period_ms * MS))
            await self._loader.restore(talk)
            if talk.datagrams is not None:
                await talk.datagrams.open(talk.questions.ask)
                lossy = talk.datagrams.why_not or "taken"
                if talk.datagrams.why_not:
                    _log.warning("%s takes no lossy orders: %s", self.id, talk.datagrams.why_not)
            return facts_of(self._spec, self._parts, welcome, self._settings.held, lossy)
        except (BoardError, LinkError, WireError) as error:
            return error

    async def _part(self, talk: Conversation) -> None:
        """Put settings back and let the agent end by itself."""
        try:
            async with asyncio.timeout(_BYE_S + (_PUT_BACK_S if self._settings else 0.0)):
                await self._settings.put_back(talk.questions)
                talk.say(m.Bye())
                await talk.wait_ended()
        except (TestbedError, TimeoutError) as error:
            _log.info("%s did not say goodbye: %s", self.id, error)
        talk.end()

    # --- events -----------------------------------------------------------------------------------------

    def _emit(self, event: BoardEvent) -> None:
        if self._sink is not None:
            self._sink(event)

    def _fail_soon(self, action: int, why: str) -> None:
        """Fail an order, but never while the caller is still in `send`."""
        event = ev.Failed(t=self._now(), action=action, error=why)
        asyncio.get_running_loop().call_soon(self._emit, event)
