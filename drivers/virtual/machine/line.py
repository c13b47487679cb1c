"""A serial line on a pseudo-terminal, as slow as a real one, with a board at its end that restarts by itself.

    python -m drivers.virtual.machine.line CONFIG

Announces ``port`` (a stable name below the state folder, like ``/dev/serial/by-id``) as one JSON line; then takes
orders (``orders``): ``cut``, ``garble``, ``stall``, ``step_clock``, ``kill_agent``, ``reboot``. Two pseudo-terminals
stand back to back: the host opens one, the agent the other, and bytes go from each to the other at the line's rate.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pty
import selectors
import sys
import termios
import time
import tty
from pathlib import Path

from drivers.virtual.machine.config import MachineConfig, read_config
from drivers.virtual.machine.machine import Machine
from drivers.virtual.machine.orders import announce, obey
from drivers.virtual.machine.rate import LineRate
from drivers.virtual.machine.tamper import Tamper
from drivers.virtual.machine.waiting import die_with_parent, sharpen_timers, take_priority

LOG = logging.getLogger(__name__)
QUANTUM_NS = 1_000_000
FIFO_BYTES = 256
_IDLE_SPEED = termios.B50
_BOOT_S = 10.0
_LOOK_S = 0.05


class Terminal:
    """A raw pseudo-terminal whose far end stays open, so that its user may come and go."""

    def __init__(self) -> None:
        """Open both ends."""
        self.near, self.far = pty.openpty()
        tty.setraw(self.far)
        os.set_blocking(self.near, False)
        self.path = Path(os.ttyname(self.far))

    @property
    def idle(self) -> bool:
        """Nobody has set its speed since `mark_idle`."""
        return bool(termios.tcgetattr(self.far)[5] == _IDLE_SPEED)

    def mark_idle(self) -> None:
        """Set a speed that no user would, so that the next one's own shows."""
        modes = termios.tcgetattr(self.far)
        modes[4] = modes[5] = _IDLE_SPEED
        termios.tcsetattr(self.far, termios.TCSANOW, modes)

    def close(self) -> None:
        """Hang up."""
        os.close(self.near)
        os.close(self.far)


class Direction:
    """Carries bytes one way at the line's rate, in small quanta on a cumulative schedule."""

    def __init__(self, source: Terminal, sink: Terminal, baud: int, tamper: Tamper) -> None:
        """Start watching ``source``."""
        self._source, self._sink, self._tamper = source.near, sink.near, tamper
        self._rate = LineRate(baud)
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._listening = False
        self._listen()

    def close(self) -> None:
        """Stop; what is still on the line is lost."""
        if self._timer is not None:
            self._timer.cancel()
        if self._listening:
            self._loop.remove_reader(self._source)

    def poke(self) -> None:
        """Send noise that waits, although nothing else does."""
        if self._tamper.noisy:
            self._take(self._tamper.apply(b""))

    def _listen(self) -> None:
        if not self._listening:
            self._loop.add_reader(self._source, self._readable)
            self._listening = True

    def _readable(self) -> None:
        try:
            data = os.read(self._source, FIFO_BYTES)
        except BlockingIOError:
            return
        self._take(self._tamper.apply(data))

    def _take(self, data: bytes) -> None:
        if not self._buffer:
            self._rate.begin(time.monotonic_ns())
        self._buffer += data
        if len(self._buffer) >= FIFO_BYTES and self._listening:
            self._loop.remove_reader(self._source)
            self._listening = False
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None and self._buffer:
            silence = self._tamper.silence_s
            wait = min(QUANTUM_NS, self._rate.until(len(self._buffer), time.monotonic_ns())) / 1e9
            self._timer = self._loop.call_later(max(wait, min(silence, _LOOK_S)), self._release)

    def _release(self) -> None:
        self._timer = None
        if self._tamper.silence_s:
            self._rate.begin(time.monotonic_ns())
            self._schedule()
            return
        due = min(self._rate.due(time.monotonic_ns()), len(self._buffer))
        if due:
            try:
                sent = os.write(self._sink, self._buffer[:due])
            except BlockingIOError:
                sent = 0  # nobody reads: the line waits, as with flow control
            del self._buffer[:sent]
            self._rate.passed(sent)
        if len(self._buffer) < FIFO_BYTES:
            self._listen()
        self._schedule()


class SerialLine:
    """The line and what hangs on it."""

    def __init__(self, config: MachineConfig, file: Path) -> None:
        """Plug the board in; it boots once `supervise` runs."""
        self._config = config
        self._machine = Machine(config, file)
        self._to_board = Tamper(seed=config.seed)
        self._to_host = Tamper(seed=config.seed + 1)
        self._board_end = Terminal()
        self._board_end.mark_idle()
        self._host_end: Terminal | None = None
        self._directions: list[Direction] = []
        self.plug()

    def plug(self) -> None:
        """Make the host's end and publish it under its stable name."""
        port = self._config.port
        assert port is not None
        self._host_end = Terminal()
        port.parent.mkdir(parents=True, exist_ok=True)
        port.unlink(missing_ok=True)
        port.symlink_to(self._host_end.path)
        baud = self._config.baud
        self._directions = [
            Direction(self._host_end, self._board_end, baud, self._to_board),
            Direction(self._board_end, self._host_end, baud, self._to_host),
        ]

    def unplug(self) -> None:
        """Take the host's end away, as if the cable was pulled."""
        for direction in self._directions:
            direction.close()
        self._directions = []
        if self._host_end is not None:
            assert self._config.port is not None
            self._config.port.unlink(missing_ok=True)
            self._host_end.close()
            self._host_end = None

    async def supervise(self) -> None:
        """Run the agent, and again whenever it ends, as a board's firmware starts after a reset."""
        program = self._config.agent
        assert program is not None
        arguments = ("--tty", str(self._board_end.path), "--baud", str(self._config.baud))
        while True:
            self._board_end.mark_idle()
            process = await self._machine.spawn(program, arguments, piped=False)
            await process.wait()
            LOG.info("the agent ended with code %s", process.returncode)
            await asyncio.sleep(self._config.boot_ms / 1e3)

    async def boot(self) -> None:
        """Wait until the agent has opened its end; what is sent earlier gets lost, as on a board that boots.

        Raises:
            TimeoutError: it did not within ten seconds.
        """
        async with asyncio.timeout(_BOOT_S):
            while self._board_end.idle:  # noqa: ASYNC110 - a terminal tells nobody when its modes change
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Unplug and switch off."""
        await self._machine.kill()
        self.unplug()
        self._board_end.close()

    async def cut(self, seconds: float = 0.1) -> None:
        """Pull the cable, and plug it in again after a while."""
        self.unplug()
        await asyncio.sleep(seconds)
        self.plug()

    async def garble(self, count: int = 16, flip: bool = False, towards: str = "host") -> None:
        """Noise on the line, or flipped bits in what passes."""
        tamper = self._to_host if towards == "host" else self._to_board
        if flip:
            tamper.flip(count)
        else:
            tamper.inject(count)
            for direction in self._directions:
                direction.poke()

    async def stall(self, seconds: float) -> None:
        """Nothing passes for a while, in either direction."""
        self._to_board.stall(seconds)
        self._to_host.stall(seconds)

    async def step_clock(self, seconds: float) -> None:
        """Let the board's clock jump."""
        self._machine.step_clock(seconds)

    async def kill_agent(self) -> None:
        """Kill the agent; it comes back as after a reset."""
        await self._machine.kill()

    async def reboot(self) -> None:
        """Reset the board: another boot id, another clock."""
        await self._machine.reboot()
        self._to_board.end_stall()
        self._to_host.end_stall()


async def serve(file: Path) -> None:
    """Be the line until standard input ends."""
    config = read_config(file)
    config.home.mkdir(parents=True, exist_ok=True)
    line = SerialLine(config, file)
    try:
        async with asyncio.TaskGroup() as tasks:
            board = tasks.create_task(line.supervise())
            await line.boot()
            announce({"port": str(config.port), "baud": config.baud})
            await obey(
                {
                    "cut": line.cut,
                    "garble": line.garble,
                    "stall": line.stall,
                    "step_clock": line.step_clock,
                    "kill_agent": line.kill_agent,
                    "reboot": line.reboot,
                }
            )
            board.cancel()
    finally:
        await line.close()


def main(arguments: list[str]) -> int:
    """Entry point of the process."""
    logging.basicConfig(level=logging.INFO)
    die_with_parent()
    sharpen_timers()
    file = Path(arguments[0])
    if read_config(file).realtime:
        take_priority()
    # select() takes microseconds where epoll takes milliseconds, and a byte lasts 87 of them.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(file))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
