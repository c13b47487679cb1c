"""What the far end does by itself; with the near end: test_near.py. As a process: test_carrier.py."""

import asyncio

import numpy as np

from drivers.virtual.transports.far import Lane
from drivers.virtual.transports.options import CarrierOptions
from testbed.wire.fragments import Fragment, Gathering
from testbed.wire.picture import encode

SHAPE, SEGMENTS = encode(np.zeros((32, 32), np.uint8), quality=85, interval=4)


def gathering(segments):
    return Gathering(Fragment(1, 0, 1, SHAPE, b"", dict(enumerate(segments))))


async def test_the_lane_takes_one_picture_after_the_other() -> None:
    loop = asyncio.get_running_loop()
    lane, done = Lane(0.05), []
    ended = asyncio.Event()

    def end(name):
        done.append((name, loop.time()))
        if len(done) == 2:
            ended.set()

    began = loop.time()
    lane.work(gathering(SEGMENTS), CarrierOptions(), lambda: end("a"))
    lane.work(gathering(SEGMENTS[:1]), CarrierOptions(), lambda: end("b"))
    async with asyncio.timeout(10):
        await ended.wait()
    assert [name for name, _ in done] == ["a", "b"]
    assert done[0][1] - began >= 0.045
    assert done[1][1] - done[0][1] >= 0.045
