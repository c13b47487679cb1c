"""What every board promises, as tests: subclass `BoardContract` and say how to make one and how to hurt it.

The class brings asyncio itself, so a driver author needs pytest and nothing else. The words: a *fate* is the event
that ends an action (Executed, Failed, Loaded, or a Cancelled that was not too late); there is exactly one for each.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import pytest

from testbed.contracts.bounds import run_unblocked
from testbed.model import event as ev
from testbed.model.action import Cancel, Infer, Item, Load
from testbed.model.record import ClockProbe

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from testbed.ports import Board, BoardEvent, Payload


class Listener:
    """A sink that remembers, and wakes those who wait for an event."""

    def __init__(self) -> None:
        """Nothing heard."""
        self.events: list[BoardEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: BoardEvent) -> None:
        """Take an event."""
        self.events.append(event)
        self._news.set()

    def fates(self) -> Counter[int]:
        """How many fates each action had."""
        return Counter(event.action for event in self.events if is_fate(event))

    def of(self, kind: type) -> list[Any]:
        """All events of a class, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, enough: Callable[[], bool], bound_s: float) -> None:
        """Wait until ``enough`` holds.

        Raises:
            AssertionError: it did not in time.
        """
        try:
            async with asyncio.timeout(bound_s):
                while not enough():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            shown = "\n".join(map(str, self.events[-10:]))
            raise AssertionError(f"not within {bound_s} s; heard last:\n{shown}") from None

    async def fate(self, action: int, bound_s: float) -> Any:  # noqa: ANN401 - one of four events
        """The event that ends an action."""
        await self.until(lambda: self.fates()[action] > 0, bound_s)
        return next(e for e in self.events if is_fate(e) and e.action == action)


def is_fate(event: BoardEvent) -> TypeGuard[ev.Executed | ev.Failed | ev.Loaded | ev.Cancelled]:
    """Whether an event ends its action."""
    if isinstance(event, ev.Cancelled):
        return event.stage != "too_late" and event.requests is None
    return isinstance(event, ev.Executed | ev.Failed | ev.Loaded)


class BoardContract:
    """Subclass it, override ``board`` and ``kill``; `testbed.contracts.echo_spec` makes what a driver's factory takes.

    Attributes:
        model: a model of the board that answers within a few ms.
        slow_model: one that takes some 50 ms for each execution, one at a time.
        shape: of one input, uint8.
        bound_s: longest that a single thing may take, reconnecting included.
    """

    model: str = "quick"
    slow_model: str = "slow"
    shape: tuple[int, ...] = (1, 28, 28)
    bound_s: float = 20.0

    @pytest.fixture
    def board(self) -> Board:
        """A board, not open."""
        raise NotImplementedError

    @pytest.fixture
    def kill(self) -> Callable[[], None]:
        """Makes the board's agent die at once; the board can be reached again."""
        raise NotImplementedError

    def payload(self, items: int) -> Payload:
        """Some inputs."""
        count = int(np.prod(self.shape))
        values = np.arange(items * count, dtype=np.int64) % 251
        return values.astype(np.uint8).reshape(items, *self.shape)

    def infer(self, board: Board, action: int, *, items: int = 1, model: str | None = None) -> Infer:
        """Order an execution whose requests are numbered ``action * 100`` and on."""
        batch = tuple(Item(request=action * 100 + i) for i in range(items))
        order = Infer(id=action, board=board.id, model=model or self.model, batch=batch)
        board.send(order, self.payload(items), tuple(range(items)))
        return order

    def run(self, board: Board, work: Callable[[Listener], Coroutine[Any, Any, None]], *models: str) -> None:
        """Open, load, work, close; afterwards no action had two fates, and nothing kept the event loop for long."""

        async def whole() -> None:
            heard = Listener()
            try:
                async with asyncio.timeout(3 * self.bound_s):
                    facts = await board.open(heard)
                    assert facts.id == board.id
                    for number, model in enumerate(models):
                        board.send(Load(id=9000 + number, board=board.id, model=model))
                        loaded = await heard.fate(9000 + number, self.bound_s)
                        assert isinstance(loaded, ev.Loaded), loaded
                    await work(heard)
            finally:
                await self.closed(board)
            doubled = {action: n for action, n in heard.fates().items() if n != 1}
            assert not doubled, f"actions with several fates: {doubled}"

        run_unblocked(whole(), self.bound_s, "the board")

    async def closed(self, board: Board) -> None:
        """Close a board.

        Raises:
            AssertionError: that takes longer than ``bound_s``.
        """
        try:
            async with asyncio.timeout(self.bound_s):
                await board.close()
        except TimeoutError:
            raise AssertionError(f"close did not return within {self.bound_s} s") from None

    def test_up_is_the_first_word(self, board: Board) -> None:
        """`BoardUp` comes before everything else, and before ``open`` returns."""

        async def work(heard: Listener) -> None:
            up = heard.events[0]
            assert isinstance(up, ev.BoardUp)
            assert up.board == board.id
            assert up.boot >= 1

        self.run(board, work)

    def test_executes_and_says_when_it_was_sent(self, board: Board) -> None:
        """Sent, then Executed, with ordered stamps of the board's clock."""

        async def work(heard: Listener) -> None:
            self.infer(board, 1)
            fate = await heard.fate(1, self.bound_s)
            assert isinstance(fate, ev.Executed), fate
            (sent,) = heard.of(ev.Sent)
            assert sent.action == 1
            assert sent.t <= fate.t
            execution = fate.execution
            assert execution.received <= execution.started <= execution.finished
            assert len(execution.items) == 1

        self.run(board, work, self.model)

    def test_stamps_are_on_the_clocks_that_probes_compare(self, board: Board) -> None:
        """Events on the host's ``time.monotonic_ns``, executions on the board's clock; both in ns, as in probes."""

        async def work(heard: Listener) -> None:
            begun = time.monotonic_ns()
            await board.probe(4)
            before = heard.of(ClockProbe)
            self.infer(board, 1)
            fate = await heard.fate(1, self.bound_s)
            assert isinstance(fate, ev.Executed), fate
            (sent,) = heard.of(ev.Sent)
            asked = time.monotonic_ns()
            await board.probe(4)
            after = [probe for probe in heard.of(ClockProbe) if probe.t0 >= asked]
            assert before, "no probe arrived"
            assert after, "no probe arrived, or its t0 is not of the host's time.monotonic_ns"
            assert begun <= sent.t <= fate.t <= asked, "not on the host's time.monotonic_ns"
            execution = fate.execution
            assert max(p.t1 for p in before) <= execution.received, (
                "not on the clock that the board's probes tell"
            )
            assert execution.finished <= min(p.t1 for p in after), (
                "not on the clock that the board's probes tell"
            )

        self.run(board, work, self.model)

    def test_executes_a_batch(self, board: Board) -> None:
        """One result per item, in order."""

        async def work(heard: Listener) -> None:
            self.infer(board, 1, items=5)
            fate = await heard.fate(1, self.bound_s)
            assert isinstance(fate, ev.Executed), fate
            assert len(fate.execution.items) == 5

        self.run(board, work, self.model)

    def test_unknown_model_fails(self, board: Board) -> None:
        """To load as to infer; the board stays usable."""

        async def work(heard: Listener) -> None:
            board.send(Load(id=1, board=board.id, model="no-such-model"))
            self.infer(board, 2, model="no-such-model")
            assert isinstance(await heard.fate(1, self.bound_s), ev.Failed)
            assert isinstance(await heard.fate(2, self.bound_s), ev.Failed)
            self.infer(board, 3)
            assert isinstance(await heard.fate(3, self.bound_s), ev.Executed)

        self.run(board, work, self.model)

    def test_many_at_once_all_end_once(self, board: Board) -> None:
        """More than the board takes at a time."""

        async def work(heard: Listener) -> None:
            for action in range(1, 201):
                self.infer(board, action)
            await heard.until(lambda: len(heard.of(ev.Executed)) >= 200, self.bound_s)
            assert {e.action for e in heard.of(ev.Executed)} == set(range(1, 201))
            assert len(heard.of(ev.Sent)) == 200

        self.run(board, work, self.model)

    def test_cancel_ends_an_action_once(self, board: Board) -> None:
        """Whatever its stage; cancelling again, or what never was, is no error."""

        async def work(heard: Listener) -> None:
            for action in range(1, 11):
                self.infer(board, action, model=self.slow_model)
            for action in (10, 9, 9, 777):
                board.send(Cancel(action=action))
            for action in range(1, 11):
                fate = await heard.fate(action, self.bound_s)
                expected = ev.Cancelled if action >= 9 else ev.Executed
                assert isinstance(fate, expected), fate
            assert {e.stage for e in heard.of(ev.Cancelled)} <= {"before_sent", "before_start"}

        self.run(board, work, self.slow_model)

    def test_cancel_of_some_items_leaves_the_others(self, board: Board) -> None:
        """`Cancelled` names the requests; the rest is executed, in the positions ordered."""

        async def work(heard: Listener) -> None:
            self.infer(board, 1, model=self.slow_model)
            self.infer(board, 2, items=3, model=self.slow_model)
            board.send(Cancel(action=2, requests=(201,)))
            fate = await heard.fate(2, self.bound_s)
            assert isinstance(fate, ev.Executed), fate
            assert len(fate.execution.items) == 3
            (cancelled,) = heard.of(ev.Cancelled)
            assert cancelled.requests == (201,)

        self.run(board, work, self.slow_model)

    def test_death_fails_what_is_in_flight_and_the_board_returns(
        self, board: Board, kill: Callable[[], None]
    ) -> None:
        """Failed for each, BoardDown, then BoardUp with the models resident again, and it works."""

        async def work(heard: Listener) -> None:
            for action in range(1, 6):
                self.infer(board, action, model=self.slow_model)
            await heard.until(lambda: len(heard.of(ev.Sent)) >= 5, self.bound_s)
            kill()
            await heard.until(lambda: bool(heard.of(ev.BoardDown)), self.bound_s)
            fates = heard.fates()
            assert all(fates[action] == 1 for action in range(1, 6))
            assert heard.of(ev.Failed)
            self.infer(board, 50, model=self.slow_model)  # while it is down
            assert isinstance(await heard.fate(50, self.bound_s), ev.Failed)
            await heard.until(lambda: len(heard.of(ev.BoardUp)) == 2, self.bound_s)
            first, second = heard.of(ev.BoardUp)
            assert second.boot > first.boot
            assert dict(second.resident) == {self.slow_model: 1}
            self.infer(board, 60, model=self.slow_model)
            assert isinstance(await heard.fate(60, self.bound_s), ev.Executed)

        self.run(board, work, self.slow_model)

    def test_probes_tell_clock_and_network(self, board: Board) -> None:
        """Stamps in order on each clock; a positive round trip."""

        async def work(heard: Listener) -> None:
            await board.probe(4)
            probes = heard.of(ClockProbe)
            assert 1 <= len(probes) <= 4
            for probe in probes:
                assert probe.t0 < probe.t3
                assert probe.t1 <= probe.t2
            (network,) = heard.of(ev.NetworkSeen)
            assert 0 < network.rtt <= max(p.t3 - p.t0 for p in probes)

        self.run(board, work)

    def test_closing_ends_everything_in_bounded_time(self, board: Board) -> None:
        """What is in flight has its fate before ``close`` returns; closing twice is no error."""

        async def work(heard: Listener) -> None:
            for action in range(1, 6):
                self.infer(board, action, model=self.slow_model)
            await self.closed(board)
            assert all(heard.fates()[action] == 1 for action in range(1, 6))
            await self.closed(board)

        self.run(board, work, self.slow_model)
