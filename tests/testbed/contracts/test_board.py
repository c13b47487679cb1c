"""The contract itself: what counts as a fate, and that broken promises are noticed."""

from __future__ import annotations

import asyncio
import time

import pytest

from testbed.contracts.board import BoardContract, Listener, is_fate
from testbed.model import event as ev
from testbed.model.action import Infer
from testbed.model.execution import Execution, ItemResult
from testbed.model.lab import BoardFacts
from testbed.model.record import ClockProbe


class Toy:
    """A board in memory that answers at once; `flaw` breaks one promise."""

    id = "toy"

    def __init__(self, flaw=""):
        self.flaw = flaw
        self.sink = None

    async def open(self, sink):
        self.sink = sink
        if self.flaw != "comes up late":
            sink(ev.BoardUp(t=1, board=self.id, boot=1))
        sink(ev.NetworkSeen(t=1, board=self.id, rtt=1, up_bytes_per_s=1, down_bytes_per_s=1))
        sink(ev.BoardUp(t=2, board=self.id, boot=1))
        return BoardFacts(
            id=self.id,
            kind="toy",
            site="edge",
            boot_id="",
            agent_sha256="",
            facts={},
            origin="modelled",
            link_origin="modelled",
        )

    def send(self, order, payload=None, samples=()):
        loop = asyncio.get_running_loop()
        if isinstance(order, Infer):
            missing = 1 if self.flaw == "drops an item" else 0
            items = (ItemResult(label=0, confidence=1.0),) * (len(order.batch) - missing)
            execution = Execution(received=1, started=1, finished=1, items=items)
            event = ev.Executed(t=5, action=order.id, execution=execution)
            loop.call_soon(self.sink, ev.Sent(t=4, action=order.id))
        else:
            event = ev.Loaded(t=5, action=order.id, board=self.id, model=order.model, load=1)
        for _ in range(2 if self.flaw == "answers twice" else 1):
            loop.call_soon(self.sink, event)

    async def probe(self, count=8):
        """Tells nothing."""

    async def close(self):
        if self.flaw == "blocks on close":
            time.sleep(600)  # noqa: ASYNC251 - the fault itself
        await asyncio.sleep(600 if self.flaw == "hangs on close" else 0)


class Timed(Toy):
    """One that stamps what it does, on clocks of which `flaw` may be in another time base."""

    def stamp(self, clock):
        ns = time.monotonic_ns()
        return {f"{clock} in us": ns // 1000, f"{clock} is wall time": time.time_ns()}.get(self.flaw, ns)

    def send(self, order, payload=None, samples=()):
        loop = asyncio.get_running_loop()
        if not isinstance(order, Infer):
            return super().send(order, payload, samples)
        sent, at = self.stamp("host"), self.stamp("board")
        execution = Execution(
            received=at, started=at, finished=at, items=(ItemResult(label=0, confidence=1.0),)
        )
        loop.call_soon(self.sink, ev.Sent(t=sent, action=order.id))
        loop.call_soon(self.sink, ev.Executed(t=self.stamp("host"), action=order.id, execution=execution))
        return None

    async def probe(self, count=8):
        t = time.monotonic_ns()
        probed = self.stamp("probe")
        self.sink(ClockProbe(board=self.id, boot=1, t0=t, t1=probed, t2=probed, t3=time.monotonic_ns()))


@pytest.mark.parametrize(
    "test", ["test_up_is_the_first_word", "test_executes_a_batch", "test_many_at_once_all_end_once"]
)
def test_a_good_board_passes(test):
    getattr(BoardContract(), test)(Toy())


@pytest.mark.parametrize(
    ("flaw", "test"),
    [
        ("comes up late", "test_up_is_the_first_word"),
        ("drops an item", "test_executes_a_batch"),
        ("answers twice", "test_executes_and_says_when_it_was_sent"),
        ("tells no clock", "test_probes_tell_clock_and_network"),
    ],
)
def test_a_broken_promise_is_noticed(flaw, test):
    with pytest.raises(AssertionError):
        getattr(BoardContract(), test)(Toy(flaw))


def test_a_board_with_its_stamps_in_order_passes():
    BoardContract().test_stamps_are_on_the_clocks_that_probes_compare(Timed())


@pytest.mark.parametrize("clock", ["host", "board", "probe"])
@pytest.mark.parametrize("base", ["in us", "is wall time"])
def test_another_time_base_is_noticed(clock, base):
    with pytest.raises(AssertionError, match="not on the"):
        BoardContract().test_stamps_are_on_the_clocks_that_probes_compare(Timed(f"{clock} {base}"))


def test_a_close_that_hangs_is_noticed():
    contract = BoardContract()
    contract.bound_s = 0.1
    with pytest.raises(AssertionError, match="close did not return"):
        contract.test_executes_a_batch(Toy("hangs on close"))


@pytest.mark.usefixtures("no_alarm")
def test_a_close_that_blocks_the_event_loop_is_noticed():
    contract = BoardContract()
    contract.bound_s = 2.0
    with pytest.raises(AssertionError, match="the board blocks the event loop"):
        contract.test_executes_a_batch(Toy("blocks on close"))


def test_fates():
    assert is_fate(ev.Failed(t=1, action=1, error="x"))
    assert is_fate(ev.Cancelled(t=1, action=1, stage="before_sent"))
    assert not is_fate(ev.Cancelled(t=1, action=1, stage="too_late"))
    assert not is_fate(ev.Cancelled(t=1, action=1, stage="during", requests=(3,)))
    assert not is_fate(ev.Sent(t=1, action=1))


async def test_waiting_in_vain_shows_what_was_heard():
    heard = Listener()
    heard(ev.Sent(t=1, action=41))
    with pytest.raises(AssertionError, match="41"):
        await heard.until(lambda: False, 0.01)
