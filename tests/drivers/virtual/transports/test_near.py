"""Both ends on loopback, in one loop; what the network loses is decided by the test."""

import asyncio
import contextlib

import numpy as np
import pytest

from drivers.virtual.transports import near as module
from drivers.virtual.transports.coding import why_not
from drivers.virtual.transports.contents import CODED, PICTURE
from drivers.virtual.transports.far import FarClient, Lane
from drivers.virtual.transports.near import NearClient
from drivers.virtual.transports.options import CarrierOptions
from testbed.wire.picture import encode

LIMIT_S = 20.0
KEYS = (b"d" * 32, b"s" * 32)
needs_code = pytest.mark.skipif(bool(why_not()), reason=why_not())
PIXELS = np.random.default_rng(1).integers(0, 256, (96, 96), dtype=np.uint8)
SHAPE, SEGMENTS = encode(PIXELS, quality=85, interval=4)


class Dropping(NearClient):
    """Loses the datagrams of the places that it is told."""

    lost: tuple[int, ...] = ()
    sent = 0

    def _put(self, kind, content):
        assert kind in (PICTURE, CODED)
        self.sent += 1
        if self.sent - 1 not in self.lost:
            super()._put(kind, content)


@contextlib.asynccontextmanager
async def both(transport, lost=(), **more):
    options = CarrierOptions(service_ms=1, packet_bytes=512, silence_ms=400, **more)
    far = FarClient(Lane(options.service_ms / 1e3), KEYS, options)
    near = Dropping(transport, KEYS, options)
    near.lost = lost
    try:
        ports = await far.listen("127.0.0.1")
        async with asyncio.timeout(LIMIT_S):
            await near.connect("127.0.0.1", *ports)
            yield near, far
    finally:
        near.close()
        far.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("transport", ["lossy", "tcp", pytest.param("fec", marks=needs_code)])
async def test_pictures_are_answered_whole(transport) -> None:
    async with both(transport) as (near, far):
        answers = await asyncio.gather(*(near.carry(number, (SHAPE, SEGMENTS)) for number in range(5)))
        assert [(a.lost_frac, a.again) for a in answers] == [(0.0, False)] * 5
        assert (near.ignored, far.ignored) == (0, 0)
        assert (near.sent == 0) == (transport == "tcp")
        assert near.rtt_s > 0


async def test_lost_datagrams_leave_gaps_and_are_not_sent_again() -> None:
    async with both("lossy", lost=(1,)) as (near, _):
        answer = await near.carry(1, (SHAPE, SEGMENTS))
        assert 0 < answer.lost_frac < 0.2
        assert not answer.again


async def test_too_much_lost_goes_over_the_stream() -> None:
    async with both("lossy", lost=tuple(range(1, 100)), wait_ms=50) as (near, _):
        answer = await near.carry(1, (SHAPE, SEGMENTS))
        assert (answer.lost_frac, answer.again) == (0.0, True)


async def test_everything_lost_goes_over_the_stream_after_the_silence() -> None:
    async with both("lossy", lost=tuple(range(100))) as (near, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await near.carry(1, (SHAPE, SEGMENTS))
        assert answer.again
        assert loop.time() - began >= 0.4


@needs_code
async def test_coded_datagrams_restore_what_was_lost_up_to_the_redundancy() -> None:
    async with both("fec", lost=(0,)) as (near, _):
        answer = await near.carry(1, (SHAPE, SEGMENTS))
        assert (answer.lost_frac, answer.again) == (0.0, False)


@needs_code
async def test_beyond_the_redundancy_the_picture_is_asked_for_again() -> None:
    async with both("fec", lost=tuple(range(1, 100)), wait_ms=50) as (near, _):
        answer = await near.carry(1, (SHAPE, SEGMENTS))
        assert (answer.lost_frac, answer.again) == (0.0, True)


async def test_what_is_not_answered_waits_until_it_is_given_up() -> None:
    async with both("tcp") as (near, far):
        far.records.close()
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await near.carry(1, (SHAPE, SEGMENTS))


async def test_a_forged_datagram_is_ignored() -> None:
    async with both("lossy") as (near, far):
        near.datagram_received(bytes(60), None)
        far.datagram_received(bytes(60), ("127.0.0.1", 9))
        assert (near.ignored, far.ignored) == (1, 1)
        assert (await near.carry(1, (SHAPE, SEGMENTS))).lost_frac == 0.0


async def test_a_greeting_that_gets_lost_is_sent_on_a_new_stream(monkeypatch) -> None:
    heard = []
    hear = FarClient._hear_record

    def deaf_once(self, content):
        heard.append(content)
        if len(heard) > 1:
            hear(self, content)

    monkeypatch.setattr(FarClient, "_hear_record", deaf_once)
    monkeypatch.setattr(module, "_GREET_S", 0.2)
    async with both("tcp") as (near, _):
        assert len(heard) == 2
        assert (await near.carry(1, (SHAPE, SEGMENTS))).lost_frac == 0.0
