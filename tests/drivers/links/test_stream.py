from __future__ import annotations

import asyncio

import pytest

from drivers.links.health import Sign
from drivers.links.stream import Inbox, Valve
from testbed.errors import LinkError
from testbed.model.view import Health
from tests.drivers.leaping import leap


async def test_inbox_pauses_its_source_above_the_mark_and_resumes_once_emptied():
    calls = []
    inbox = Inbox(pause=lambda: calls.append("pause"), resume=lambda: calls.append("resume"), high_bytes=4)
    inbox.put(b"abc")
    assert calls == []
    inbox.put(b"def")
    inbox.put(b"g")
    assert calls == ["pause"]
    assert await inbox.take() == b"abcdefg"
    assert calls == ["pause", "resume"]


async def test_inbox_ends_after_what_is_there_and_stays_ended():
    inbox = Inbox(pause=lambda: None, resume=lambda: None)
    inbox.put(b"last")
    inbox.end()
    assert [await inbox.take() for _ in range(3)] == [b"last", b"", b""]


async def test_an_abandoned_reader_loses_nothing():
    inbox = Inbox(pause=lambda: None, resume=lambda: None)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await inbox.take()
    inbox.put(b"x")
    assert await inbox.take() == b"x"


def test_valve_degrades_then_gives_up():
    async def main():
        valve = Valve("test://x", late_s=5, stall_s=30)
        valve.note(Sign.OPENED)
        valve.shut()
        waiting = asyncio.ensure_future(valve.passable())
        await asyncio.sleep(4.9)
        assert valve.health is Health.UP
        await asyncio.sleep(25)
        assert valve.health is Health.DEGRADED
        with pytest.raises(LinkError, match="took nothing for 30 s"):
            await waiting
        assert asyncio.get_running_loop().time() == pytest.approx(30)

    leap(main())


def test_valve_recovers_when_there_is_room_again():
    async def main():
        valve = Valve("test://x", late_s=5, stall_s=30)
        valve.note(Sign.OPENED)
        valve.shut()
        waiting = asyncio.ensure_future(valve.passable())
        await asyncio.sleep(6)
        assert valve.health is Health.DEGRADED
        valve.unshut()
        await waiting
        assert valve.health is Health.UP

    leap(main())


async def test_the_first_reason_of_a_loss_stays_and_wakes_writers():
    valve = Valve("test://x")
    valve.note(Sign.OPENED)
    valve.shut()
    waiting = asyncio.ensure_future(valve.passable())
    await asyncio.sleep(0)
    valve.note(Sign.LOST, LinkError("the cable was pulled"))
    valve.note(Sign.LOST, LinkError("closed"))
    with pytest.raises(LinkError, match="cable") as caught:
        await waiting
    assert caught.value.link == "test://x"
