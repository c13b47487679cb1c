"""A way that is long and narrow: delays a link's bytes and limits their rate, in both directions.

Takes any link and gives a link. The bytes stay the same and in order; only their timing is emulated, so a link behind
a relay is of origin ``emulated``. Accuracy: as good as the event loop's timers, 1 ms late at most on an idle host
with epoll.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from testbed.errors import LinkError
from testbed.model.view import Health
from testbed.ports import Link

if TYPE_CHECKING:
    from collections.abc import Callable


class RelayOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The way of a lab file's ``relay`` table.

    Attributes:
        delay_ms: each way, so the round trip takes twice as long.
        jitter_ms: mean of an exponential extra delay per write; bytes still arrive in order.
        rate_mbit: of each direction [Mbit/s]; ``None`` does not limit.
        buffer_bytes: how much may be under way in each direction before the sender waits.
        seed: of the jitter, beside the lab's own.
    """

    delay_ms: float = 20.0
    jitter_ms: float = 0.0
    rate_mbit: float | None = None
    buffer_bytes: int = 1 << 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no way can be.

        Raises:
            ValueError: a negative time, no number, or a rate or buffer that lets nothing through.
        """
        if not all(map(math.isfinite, (self.delay_ms, self.jitter_ms, self.rate_mbit or 0.0))):
            raise ValueError("delay_ms, jitter_ms and rate_mbit must be finite; without rate_mbit no limit")
        if self.delay_ms < 0 or self.jitter_ms < 0:
            raise ValueError("delay_ms and jitter_ms must not be negative")
        if self.buffer_bytes < 1 or (self.rate_mbit is not None and self.rate_mbit <= 0):
            raise ValueError("rate_mbit and buffer_bytes must be positive")


class Way(Protocol):
    """One direction: says when bytes that enter now come out."""

    def exit_s(self, now: float, size: int) -> float:
        """When the last of ``size`` bytes comes out that enter at ``now``; both on the loop's clock [s]."""


class EvenWay:
    """A way of constant delay and rate, with jitter."""

    def __init__(self, options: RelayOptions, seed: str) -> None:
        """An empty way."""
        self._delay_s = options.delay_ms / 1e3
        self._jitter_s = options.jitter_ms / 1e3
        self._bytes_per_s = options.rate_mbit * 1e6 / 8 if options.rate_mbit else None
        self._random = random.Random(seed)
        self._free = 0.0
        self._last = 0.0

    def exit_s(self, now: float, size: int) -> float:
        """When the last of ``size`` bytes comes out that enter at ``now``; both on the loop's clock [s]."""
        through = max(now, self._free)
        if self._bytes_per_s is not None:
            through += size / self._bytes_per_s
        self._free = through
        jitter = self._random.expovariate(1 / self._jitter_s) if self._jitter_s > 0 else 0.0
        self._last = max(self._last, through + self._delay_s + jitter)
        return self._last


class Pipe:
    """Bytes under way in one direction, each lot with its instant."""

    def __init__(self, way: Way, limit: int) -> None:
        """Empty."""
        self._way = way
        self._limit = limit
        self._lots: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, data: bytes) -> None:
        """Let bytes enter; waits while too many are under way."""
        await self._room.wait()
        self._lots.append((self._way.exit_s(asyncio.get_running_loop().time(), len(data)), data))
        self._size += len(data)
        if self._size >= self._limit:
            self._room.clear()
        self._changed.set()

    def end(self, *, at_once: bool = False) -> None:
        """Nothing enters any more; the end comes out behind what is under way, or at once."""
        if at_once:
            self._lots.clear()
            self._size = 0
        self._lots.append((0.0, b""))
        self._changed.set()

    async def get(self) -> bytes:
        """The next lot, once it is out; ``b""`` is a lot like any other and means the end."""
        loop = asyncio.get_running_loop()
        while not self._lots:
            self._changed.clear()
            await self._changed.wait()
        await _until(loop, self._lots[0][0])
        out: list[bytes] = []
        now = loop.time()
        while self._lots and self._lots[0][0] <= now:
            if not self._lots[0][1] and out:
                break
            out.append(self._lots.popleft()[1])
        self._size -= sum(map(len, out))
        if self._size < self._limit:
            self._room.set()
        return b"".join(out)


async def _until(loop: asyncio.AbstractEventLoop, instant: float) -> None:
    """Wait for an instant of the loop's clock."""
    if loop.time() < instant:
        future = loop.create_future()
        timer = loop.call_at(instant, future.set_result, None)
        try:
            await future
        finally:
            timer.cancel()


class Relayed:
    """A link behind a relay; see `relay`."""

    def __init__(self, link: Link, make_way: Callable[[str], Way], buffer_bytes: int) -> None:
        """Nothing happens before `open`.

        Args:
            make_way: a fresh way ``up`` or ``down``, at every opening.
            buffer_bytes: how much may be under way in each direction before the sender waits.
        """
        self._link = link
        self._make_way = make_way
        self._buffer_bytes = buffer_bytes
        self._up: Pipe | None = None
        self._down: Pipe | None = None
        self._pumps: list[asyncio.Task[None]] = []
        self._broken: LinkError | None = None

    @property
    def name(self) -> str:
        """The link's own name, and that it is relayed."""
        return f"{self._link.name} (relayed)"

    @property
    def health(self) -> Health:
        """The link's own."""
        return Health.DOWN if self._broken is not None else self._link.health

    async def open(self) -> None:
        """Open the link; the greeting already takes the long way.

        Raises:
            LinkError: as the link does.
        """
        await self._link.open()
        self._broken = None
        self._up = Pipe(self._make_way("up"), self._buffer_bytes)
        self._down = Pipe(self._make_way("down"), self._buffer_bytes)
        self._pumps = [
            asyncio.create_task(self._carry_up(self._up), name=f"{self.name} up"),
            asyncio.create_task(self._carry_down(self._down), name=f"{self.name} down"),
        ]

    async def read(self) -> bytes:
        """What has come the whole way."""
        if self._down is None:
            return b""
        data = await self._down.get()
        if not data:
            self._down.end()  # the end stays the end
        return data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes on their way; waits while too many are under way.

        Raises:
            LinkError: the link is down.
        """
        if self._up is None:
            raise LinkError("not open", link=self.name)
        if self._broken is not None:
            raise self._broken
        if data:
            await self._up.put(bytes(data))

    async def close(self) -> None:
        """Stop the pumps and close the link; what is under way is lost."""
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        self._pumps = []
        await self._link.close()
        if self._down is not None:
            self._down.end(at_once=True)

    async def _carry_up(self, pipe: Pipe) -> None:
        try:
            while True:
                await self._link.write(await pipe.get())
        except LinkError as error:
            self._break(error.message, error.cure)

    async def _carry_down(self, pipe: Pipe) -> None:
        try:
            while data := await self._link.read():
                await pipe.put(data)
            self._break("the other side is gone")
        except LinkError as error:
            self._break(error.message, error.cure)
        pipe.end()

    def _break(self, message: str, cure: str = "") -> None:
        """Let the next write fail."""
        self._broken = self._broken or LinkError(message, link=self.name, cure=cure)


def relay(link: Link, options: RelayOptions, seed: int) -> Link:
    """The same link at the end of a long, narrow way."""
    prefix = f"relay/{seed}/{options.seed}"
    return Relayed(link, lambda name: EvenWay(options, f"{prefix}/{name}"), options.buffer_bytes)
