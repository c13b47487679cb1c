from __future__ import annotations

import asyncio
import itertools
import math
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from drivers.links.local import LocalLink
from drivers.virtual.relay import RelayOptions, relay
from testbed.contracts.link import LinkContract
from testbed.errors import LinkError
from testbed.model.view import Health
from tests.drivers.leaping import leap

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.ports import Link


ECHO = [sys.executable, "-c", "import os\nwhile d := os.read(0, 65536):\n while d: d = d[os.write(1, d):]"]


class TestRelayKeepsTheContract(LinkContract):
    """Over a real child process and real time, with a short way."""

    @pytest.fixture
    def inner(self) -> LocalLink:
        return LocalLink(ECHO, grace_s=0.5)

    @pytest.fixture
    def link(self, inner: LocalLink) -> Link:
        return relay(inner, RelayOptions(delay_ms=3, jitter_ms=1, rate_mbit=400), 1)

    @pytest.fixture
    def link_to_nowhere(self) -> Link:
        return relay(LocalLink(["/nonexistent/program"]), RelayOptions(), 1)

    @pytest.fixture
    def cut(self, inner: LocalLink) -> Callable[[], None]:
        return lambda: os.kill(inner.pid, signal.SIGKILL)


class Echo:
    """A link that sends back what it gets, at once."""

    name = "echo://"
    health = Health.UP

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.written: list[tuple[float, bytes]] = []
        self.dead = False

    async def open(self) -> None:
        pass

    async def read(self) -> bytes:
        return await self.queue.get()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.dead:
            raise LinkError("gone", link=self.name)
        self.written.append((asyncio.get_running_loop().time(), bytes(data)))
        await self.queue.put(bytes(data))

    async def close(self) -> None:
        pass


def test_a_round_trip_takes_twice_the_delay() -> None:
    async def main() -> None:
        link = relay(Echo(), RelayOptions(delay_ms=20), 1)
        await link.open()
        loop = asyncio.get_running_loop()
        start = loop.time()
        await link.write(b"hello")
        assert await link.read() == b"hello"
        assert loop.time() - start == pytest.approx(0.040, abs=1e-4)
        await link.close()

    leap(main())


def test_the_rate_counts_for_each_direction_and_bytes_queue_behind_each_other() -> None:
    async def main() -> None:
        echo = Echo()
        link = relay(echo, RelayOptions(delay_ms=10, rate_mbit=0.8), 1)  # 100 kB/s
        await link.open()
        for _ in range(5):
            await link.write(bytes(1000))
        got = b""
        while len(got) < 5000:
            got += await link.read()
        assert [t for t, _ in echo.written] == pytest.approx([0.02, 0.03, 0.04, 0.05, 0.06], abs=1e-3)
        # The way back is as slow: each lot is 10 ms on the line, and 10 ms further away.
        assert asyncio.get_running_loop().time() == pytest.approx(0.08, abs=2e-3)
        await link.close()

    leap(main())


def test_jitter_is_seeded_and_never_reorders() -> None:
    def instants(seed: int) -> list[float]:
        echo = Echo()

        async def main() -> None:
            link = relay(echo, RelayOptions(delay_ms=5, jitter_ms=10), seed)
            await link.open()
            for i in range(50):
                await link.write(bytes([i]))
                await asyncio.sleep(0.001)
            got = b""
            while len(got) < 50:
                got += await link.read()
            assert got == bytes(range(50))
            await link.close()

        leap(main())
        return [t for t, data in echo.written for _ in data]

    one = instants(1)
    assert one == instants(1)
    assert one != instants(2)
    assert one == sorted(one)
    assert max(b - a for a, b in itertools.pairwise(one)) > 0.005


def test_a_full_way_holds_the_writer_back() -> None:
    async def main() -> None:
        link = relay(Echo(), RelayOptions(delay_ms=100, buffer_bytes=1000), 1)
        await link.open()
        await link.write(bytes(1000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await link.write(b"x")
        await asyncio.wait_for(link.write(b"y"), 0.2)  # there is room again
        await link.close()

    leap(main())


def test_the_end_comes_behind_what_is_under_way_and_stays() -> None:
    async def main() -> None:
        echo = Echo()
        link = relay(echo, RelayOptions(delay_ms=10), 1)
        await link.open()
        await echo.queue.put(b"last words")
        await echo.queue.put(b"")
        assert await link.read() == b"last words"
        assert await link.read() == b""
        assert await link.read() == b""
        await link.close()

    leap(main())


def test_a_dead_link_is_told_and_closing_frees_a_reader() -> None:
    async def main() -> None:
        echo = Echo()
        link = relay(echo, RelayOptions(delay_ms=10), 1)
        await link.open()
        echo.dead = True
        await link.write(b"x")
        await asyncio.sleep(0.05)
        assert link.health is Health.DOWN
        with pytest.raises(LinkError, match="gone"):
            await link.write(b"y")
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(link.read())
            await asyncio.sleep(0)
            await link.close()
        assert reader.result() == b""

    leap(main())


@pytest.mark.parametrize(
    "wrong",
    [
        {"delay_ms": -1.0},
        {"rate_mbit": 0.0},
        {"jitter_ms": -1.0},
        {"delay_ms": math.nan},
        {"rate_mbit": math.inf},
        {"buffer_bytes": 0},
    ],
)
def test_impossible_ways_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        RelayOptions(**wrong)
