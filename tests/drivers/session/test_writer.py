"""A link that takes bytes at once, and what happens when it does not."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from drivers.boards.composition import CommonOptions, Composition
from drivers.session.conversation import Conversation
from testbed.model import event as ev
from testbed.model.action import Infer, Item
from testbed.wire import messages as m
from testbed.wire.claim import Claim

ONE = np.zeros((1, 4), np.uint8)


def infer(action):
    return Infer(id=action, board="b", model="m", batch=(Item(request=action),))


class Prompt:
    """The far side of `conftest` as a link that also takes and gives bytes at once."""

    def __init__(self, far_side):
        self.far_side = far_side
        self.name = far_side.name
        self.room = True
        self.at_once = 0
        self.take = None

    @property
    def health(self):
        return self.far_side.health

    async def open(self):
        await self.far_side.open()

    async def read(self):
        return await self.far_side.read()

    async def write(self, data):
        await self.far_side.write(data)

    async def close(self):
        await self.far_side.close()

    def put(self, data):
        assert self.room
        self.at_once += 1
        for message in self.far_side.session.receive(data):
            self.far_side.heard.append(message)

    def listen(self, take):
        self.take = take

    def say(self, *messages):
        for message in messages:
            self.far_side.session.send(message)
        self.take(self.far_side.session.data_to_send())


async def converse(link, events, work):
    parts = Composition(kind="test", make_link=lambda: link, common=CommonOptions())
    await link.open()
    talk = Conversation(link, "b", 1, parts, events.append, time.monotonic_ns)
    await talk.greet(Claim(7))
    async with asyncio.TaskGroup() as group:
        group.create_task(talk.run())
        await asyncio.sleep(0)
        try:
            await work(talk)
        finally:
            talk.end()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.005)


async def test_an_order_leaves_and_its_answer_arrives_without_a_task(far_side):
    events, link = [], Prompt(far_side)

    async def work(talk):
        await until(lambda: link.take)
        talk.infer(infer(1), ONE, ())
        assert [type(e) for e in events] == [ev.Sent]
        link.say(far_side.done(far_side.of(m.Infer)[0]))
        assert [type(e) for e in events] == [ev.Sent, ev.Executed]

    await converse(link, events, work)
    assert link.at_once == 1
    assert link.take is None, "nobody listens to a link that was let go"


async def test_without_room_the_task_writes(far_side):
    events, link = [], Prompt(far_side)

    async def work(talk):
        link.room = False
        talk.infer(infer(1), ONE, ())
        assert not far_side.of(m.Infer)
        await until(lambda: far_side.of(m.Infer))
        assert [type(e) for e in events] == [ev.Sent]

    await converse(link, events, work)
    assert link.at_once == 0


async def test_a_failure_is_not_told_while_the_order_is_given(far_side):
    events, link = [], Prompt(far_side)

    async def work(talk):
        huge = np.zeros((1, 2 << 20), np.uint8)  # more than the agent takes
        assert talk.infer(infer(1), huge, ()) is None
        assert not events
        await until(lambda: events)
        assert isinstance(events[0], ev.Failed)

    await converse(link, events, work)


async def test_an_agent_that_breaks_the_rules_ends_the_conversation(far_side):
    events, link = [], Prompt(far_side)

    async def work(talk):
        await until(lambda: link.take)
        talk.infer(infer(1), ONE, ())
        far_side.session._outbox.put(m.Done, b"\x88nonsense")
        link.take(far_side.session.data_to_send())
        await talk.wait_ended()
        assert "breaks the rules" in str(talk.reason)

    await converse(link, events, work)
    assert isinstance(events[-1], ev.Failed)


async def test_a_mistake_of_ours_is_not_swallowed(far_side):
    link = Prompt(far_side)

    def stumble(event):
        raise KeyError("ours")

    parts = Composition(kind="test", make_link=lambda: link, common=CommonOptions())
    await link.open()
    talk = Conversation(link, "b", 1, parts, stumble, time.monotonic_ns)
    await talk.greet(Claim(7))
    running = asyncio.create_task(talk.run())
    await until(lambda: link.take)
    far_side.session.send(m.PowerSamples("x", ("r",), (1,), (1.0,), 0))
    link.take(far_side.session.data_to_send())
    done, _ = await asyncio.wait({running}, timeout=5)
    assert done
    assert running.exception().subgroup(KeyError)


async def test_what_several_answers_make_somebody_order_leaves_in_few_writes(far_side):
    link, talks, answered = Prompt(far_side), [], []

    def ordering(event):
        if isinstance(event, ev.Executed):
            answered.append(event.action)
            assert talks[0].infer(infer(100 + event.action), ONE, ()) is None

    parts = Composition(kind="test", make_link=lambda: link, common=CommonOptions())
    await link.open()
    talk = Conversation(link, "b", 1, parts, ordering, time.monotonic_ns)
    talks.append(talk)
    await talk.greet(Claim(7))
    running = asyncio.create_task(talk.run())
    await until(lambda: link.take)
    for action in range(1, 5):
        talk.infer(infer(action), ONE, ())
    assert link.at_once == 4
    link.say(*(far_side.done(order) for order in far_side.of(m.Infer)))
    assert answered == [1, 2, 3, 4]
    assert len(far_side.of(m.Infer)) == 8, "nothing ordered stays behind"
    assert link.at_once == 5, "the four in one write"
    talk.end()
    await running
