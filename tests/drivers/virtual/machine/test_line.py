from __future__ import annotations

import asyncio
import os
import selectors
import time
from typing import TYPE_CHECKING, Any

import pytest

from drivers.virtual.machine.config import MachineConfig
from drivers.virtual.machine.line import FIFO_BYTES, Direction, SerialLine, Terminal
from drivers.virtual.machine.tamper import Tamper

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

BAUD = 115_200
BYTE_S = 10 / BAUD


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(main)


async def collect(fd: int, count: int) -> tuple[bytes, float]:
    """So many bytes, and when the last of them came."""
    loop, got, done = asyncio.get_running_loop(), bytearray(), asyncio.Event()

    def readable() -> None:
        got.extend(os.read(fd, 4096))
        if len(got) >= count:
            done.set()

    loop.add_reader(fd, readable)
    try:
        async with asyncio.timeout(20):
            await done.wait()
    finally:
        loop.remove_reader(fd)
    return bytes(got), time.monotonic()


async def carried(data: bytes, tamper: Tamper, *, count: int | None = None) -> tuple[bytes, float]:
    here, there = Terminal(), Terminal()
    direction = Direction(here, there, BAUD, tamper)
    os.set_blocking(here.far, False)
    try:
        start = time.monotonic()
        assert os.write(here.far, data) == len(data)
        got, end = await collect(there.far, len(data) if count is None else count)
        return got, end - start
    finally:
        direction.close()
        here.close()
        there.close()


def test_all_256_bytes_pass_unchanged_at_the_lines_rate() -> None:
    async def main() -> None:
        data = bytes(range(256)) * 6
        tooks = []
        for _ in range(5):
            got, took = await carried(data, Tamper())
            assert got == data
            assert took >= len(data) * BYTE_S
            tooks.append(took)
        assert min(tooks) < len(data) * BYTE_S * 1.2 + 0.05  # a busy host may be late, not at every byte

    run(main())


def test_a_short_message_is_not_held_for_a_quantum() -> None:
    async def main() -> None:
        fastest = min([(await carried(b"\xff\x00\x11", Tamper()))[1] for _ in range(9)])
        assert 3 * BYTE_S <= fastest < 3 * BYTE_S + 0.005

    run(main())


def test_noise_and_flips_and_silence() -> None:
    async def main() -> None:
        tamper = Tamper(seed=1)
        tamper.inject(5)
        got, _ = await carried(b"hello", tamper, count=10)
        assert len(got) == 10
        assert got.endswith(b"hello")
        tamper.flip(2)
        got, _ = await carried(b"hello", tamper)
        assert sum(a != b for a, b in zip(got, b"hello", strict=True)) == 2
        tamper.stall(0.1)
        got, took = await carried(b"hello", tamper)
        assert got == b"hello"
        assert took >= 0.1

    run(main())


def test_a_reader_that_sleeps_holds_the_line_up_and_loses_nothing() -> None:
    async def main() -> None:
        here, there = Terminal(), Terminal()
        direction = Direction(here, there, 3_000_000, Tamper())
        os.set_blocking(here.far, False)
        loop, sent, data = asyncio.get_running_loop(), 0, bytes(i % 251 for i in range(400_000))
        end = loop.time() + 0.2
        while loop.time() < end:
            try:
                sent += os.write(here.far, data[sent : sent + 1000])
            except BlockingIOError:
                await asyncio.sleep(0.005)
        assert FIFO_BYTES < sent < len(data)  # the writer was held back
        got, _ = await collect(there.far, sent)
        assert got == data[:sent]
        direction.close()
        here.close()
        there.close()

    run(main())


def test_the_cable_can_be_pulled_and_put_back_under_the_same_name(tmp_path: Path) -> None:
    async def main() -> None:
        port = tmp_path / "by-id" / "usb-testbed"
        config = MachineConfig(name="mcu", root=tmp_path, seed=1, profiles={}, baud=BAUD, port=port)
        line = SerialLine(config, tmp_path / "mcu.json")
        host = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        line.unplug()
        assert not port.exists()
        with pytest.raises(OSError, match="Input/output"):
            os.write(host, b"x")
        os.close(host)
        line.plug()
        host = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.write(line._board_end.far, b"back")
        got, _ = await collect(host, 4)
        assert got == b"back"
        os.close(host)
        await line.close()

    run(main())
