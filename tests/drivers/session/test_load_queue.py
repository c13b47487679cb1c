from __future__ import annotations

import asyncio

from drivers.session.load_queue import LoadQueue
from testbed.errors import BoardError, LinkError
from testbed.model import event as ev
from testbed.model.action import Load
from testbed.wire import messages as m


class Loader:
    """Ends each load as the test says, when it says so."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.asked = []
        self.go = asyncio.Semaphore(0)

    async def load(self, talk, model, instances, evict):
        self.asked.append(model)
        await self.go.acquire()
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


def order(number):
    return Load(id=number, board="b", model=f"m{number}", instances=1)


DONE = m.Loaded(1, "m", True, 5, 7, "")


def queue_of(*ends):
    events = asyncio.Queue()
    loader = Loader(*ends)
    return LoadQueue("b", loader, events.put_nowait, lambda: 3), loader, events


async def next_of(events):
    return await asyncio.wait_for(events.get(), 20)


async def test_one_after_another_and_each_has_its_end():
    queue, loader, events = queue_of(DONE, BoardError("full", traceback="tb"), DONE)
    for number in (1, 2):
        queue.add(order(number))
        loader.go.release()
    running = asyncio.ensure_future(queue.run(None))
    first, second = await next_of(events), await next_of(events)
    queue.add(order(3))
    loader.go.release()
    third = await next_of(events)
    running.cancel()
    assert loader.asked == ["m1", "m2", "m3"]
    assert [(type(e), e.action) for e in (first, second, third)] == [
        (ev.Loaded, 1),
        (ev.Failed, 2),
        (ev.Loaded, 3),
    ]
    assert (first.load, first.memory_bytes, second.traceback) == (5, 7, "tb")


async def test_what_was_under_way_when_the_link_was_lost_fails_with_what_waited():
    queue, loader, events = queue_of(LinkError("cut", link="wire"))
    for number in (1, 2):
        queue.add(order(number))
    loader.go.release()
    await asyncio.wait_for(queue.run(None), 20)
    assert events.empty()
    queue.fail("cut")
    assert [(e.action, e.error) for e in (events.get_nowait(), events.get_nowait())] == [
        (1, "cut"),
        (2, "cut"),
    ]
    queue.fail("again")
    assert events.empty()
