from __future__ import annotations

import asyncio
import contextlib
import time

import numpy as np
import pytest

from drivers.boards.composition import CommonOptions, Composition
from drivers.session.conversation import Conversation
from testbed.errors import LinkError
from testbed.model import event as ev
from testbed.model.action import Cancel, Infer, Item
from testbed.wire import messages as m
from testbed.wire.claim import Claim

ONE = np.zeros((1, 4), np.uint8)


def infer(action, **changes):
    return Infer(**{"id": action, "board": "b", "model": "m", "batch": (Item(request=action),)} | changes)


@contextlib.asynccontextmanager
async def conversing(far_side, events, *, lossy=False, **options):
    parts = Composition(kind="test", make_link=lambda: far_side, lossy=lossy, common=CommonOptions(**options))
    await far_side.open()
    talk = Conversation(far_side, "b", 1, parts, events.append, time.monotonic_ns)
    await talk.greet(Claim(7))
    async with asyncio.TaskGroup() as group:
        group.create_task(talk.run())
        try:
            yield talk
        finally:
            talk.end()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.005)


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


async def test_sent_then_executed(far_side):
    events = []
    far_side.replies[m.Infer] = lambda x: [m.Accepted(x.action, 1), far_side.done(x)]
    async with conversing(far_side, events) as talk:
        talk.infer(infer(50), ONE, (3,))
        await until(lambda: of(events, ev.Executed))
    assert [type(e) for e in events] == [ev.Sent, ev.Executed]
    assert far_side.of(m.Infer)[0].samples == (3,)
    assert events[1].execution.items[0].label == 1


async def test_no_more_than_the_credits_are_on_the_board(far_side):
    events = []
    async with conversing(far_side, events, max_inflight=2) as talk:
        for action in range(5):
            talk.infer(infer(action), ONE, ())
        await until(lambda: len(far_side.of(m.Infer)) == 2)
        talk.cancel(Cancel(action=4))
        await until(lambda: of(events, ev.Cancelled))
        assert of(events, ev.Cancelled)[0].stage == "before_sent"
        for message in far_side.of(m.Infer):
            far_side.say(far_side.done(message))
        await until(lambda: len(far_side.of(m.Infer)) == 4)
    assert len(of(events, ev.Executed)) == 2
    assert len(of(events, ev.Failed)) == 2


async def test_an_answer_that_does_not_come_is_a_failure_in_time(far_side):
    events = []
    async with conversing(far_side, events, timeout_ms=100) as talk:
        talk.infer(infer(1), ONE, ())
        await until(lambda: of(events, ev.Failed))
        assert "no answer within 100 ms" in events[-1].error
        await until(lambda: far_side.of(m.Cancel))
        far_side.say(far_side.done(far_side.of(m.Infer)[0]))  # too late: it has ended
        await asyncio.sleep(0.02)
    assert len(events) == 2


async def test_a_lost_order_is_sent_again_under_the_same_number(far_side):
    events = []
    far_side.replies[m.Infer] = lambda x: [far_side.done(x)] if len(far_side.of(m.Infer)) == 3 else []
    async with conversing(far_side, events, lossy=True, timeout_ms=5000) as talk:
        talk.infer(infer(1), ONE, ())
        await until(lambda: of(events, ev.Executed))
    assert len({message.action for message in far_side.of(m.Infer)}) == 1
    assert [type(e) for e in events] == [ev.Sent, ev.Executed]


async def test_a_lost_answer_is_asked_for_once_a_later_one_came(far_side):
    events = []
    seen = []

    def answer(message):
        seen.append(message.action)
        lost = message.action == 1 and seen.count(1) == 1
        return [m.Accepted(message.action, 1), *([] if lost else [far_side.done(message)])]

    far_side.replies[m.Infer] = answer
    async with conversing(far_side, events, lossy=True) as talk:
        talk.infer(infer(10), ONE, ())
        talk.infer(infer(11), ONE, ())
        await until(lambda: len(of(events, ev.Executed)) == 2)
    assert seen == [1, 2, 1]


async def test_an_action_whose_window_has_passed_does_not_leave(far_side):
    events = []
    async with conversing(far_side, events) as talk:
        talk.infer(infer(1, latest=time.monotonic_ns() - 1), ONE, ())
        await until(lambda: of(events, ev.Failed))
    assert events[0].error == "window missed"
    assert not far_side.of(m.Infer)


async def test_an_action_waits_for_its_window(far_side):
    events = []
    begin = time.monotonic_ns() + 60_000_000
    async with conversing(far_side, events) as talk:
        talk.infer(infer(1, earliest=begin), ONE, ())
        talk.infer(infer(2), ONE, ())
        await until(lambda: len(of(events, ev.Sent)) == 2)
    first, second = of(events, ev.Sent)
    assert (first.action, second.action) == (2, 1)
    assert second.t >= begin


async def test_cancels_of_some_items_are_told_once(far_side):
    events = []
    far_side.replies[m.Cancel] = lambda x: [m.Cancelled(x.action, m.BEFORE_START, x.items)] * 2
    async with conversing(far_side, events) as talk:
        talk.infer(infer(1, batch=tuple(Item(request=r) for r in (7, 8, 9))), np.zeros((3, 4), np.uint8), ())
        await until(lambda: far_side.of(m.Infer))
        talk.cancel(Cancel(action=1, requests=(8,)))
        await until(lambda: of(events, ev.Cancelled))
        far_side.say(far_side.done(far_side.of(m.Infer)[0], exits=(0, m.CANCELLED_EXIT, 0)))
        await until(lambda: of(events, ev.Executed))
    assert far_side.of(m.Cancel)[0].items == (1,)
    (cancelled,) = of(events, ev.Cancelled)
    assert cancelled.requests == (8,)
    assert [item.label for item in of(events, ev.Executed)[0].execution.items] == [1, -1, 1]


async def test_some_items_cancelled_before_sending_do_not_travel(far_side):
    events = []
    far_side.replies[m.Infer] = lambda x: [far_side.done(x)]
    inputs = np.arange(12, dtype=np.uint8).reshape(3, 4)
    async with conversing(far_side, events) as talk:
        talk.infer(infer(1, batch=tuple(Item(request=r) for r in (7, 8, 9))), inputs, (70, 80, 90))
        talk.cancel(Cancel(action=1, requests=(8,)))
        await until(lambda: of(events, ev.Executed))
    (message,) = far_side.of(m.Infer)
    assert message.samples == (70, 90)
    assert bytes(message.input.data) == inputs[[0, 2]].tobytes()
    assert [item.label for item in of(events, ev.Executed)[0].execution.items] == [1, -1, 1]


async def test_loss_of_the_link_fails_everything_once(far_side):
    events = []
    async with conversing(far_side, events) as talk:
        for action in range(6):
            talk.infer(infer(action), ONE, ())
        await until(lambda: len(of(events, ev.Sent)) == 4)
        asking = asyncio.ensure_future(talk.questions.ask_file("0" * 64, 5_000_000_000))
        await asyncio.sleep(0)
        far_side.die()
        with pytest.raises(LinkError):
            await asking
    assert sorted(e.action for e in of(events, ev.Failed)) == list(range(6))
    assert isinstance(talk.reason, LinkError)


async def test_an_agent_that_stays_silent_is_given_up(far_side):
    far_side.replies[m.Probe] = lambda _: []
    events = []
    async with conversing(far_side, events, silence_ms=300) as talk:
        await until(lambda: talk.reason is not None)
    assert "nothing was heard" in str(talk.reason)


async def test_an_idle_agent_that_answers_is_kept(far_side):
    events = []
    async with conversing(far_side, events, silence_ms=200) as talk:
        await asyncio.sleep(0.6)
        assert talk.reason is None
    assert far_side.of(m.Probe)


async def test_what_cannot_be_carried_out_is_refused_at_once(far_side):
    async with conversing(far_side, []) as talk:
        assert "layers" in talk.infer(infer(1, layers=(0, 1)), ONE, ())
        assert "1 items were ordered with 2 inputs" in talk.infer(infer(1), np.zeros((2, 4), np.uint8), ())
        assert len(talk._actions.ledger) == 0


async def test_a_cancel_overtakes_a_large_input(far_side):
    """Control messages leave between the chunks of a bulk message that has begun."""
    events, order = [], []
    far_side.replies[m.Cancel] = lambda _: order.append("cancel") or []
    far_side.replies[m.Infer] = lambda _: order.append("infer") or []
    write, gate = far_side.write, asyncio.Event()

    async def slow(data):
        await write(data)
        if not gate.is_set():
            gate.set()
            await asyncio.sleep(0.02)

    async with conversing(far_side, events) as talk:
        far_side.write = slow
        talk.infer(infer(1), np.zeros((1, 400_000), np.uint8), ())
        await gate.wait()
        talk.cancel(Cancel(action=1))
        await until(lambda: len(order) == 2)
    assert order == ["cancel", "infer"]
