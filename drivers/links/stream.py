"""What every link needs on the event loop: a bounded inbox, and a valve before the outgoing buffer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from drivers.links.health import Sign, next_health
from testbed.errors import LinkError
from testbed.model.view import Health

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH_BYTES = 4 << 20


@runtime_checkable
class PromptLink(Protocol):
    """What a link may offer besides `testbed.ports.Link`: bytes pass in the call itself, without a task being woken."""

    @property
    def room(self) -> bool:
        """Whether `put` may be called."""

    def put(self, data: bytes) -> None:
        """Hand all bytes on at once; only while there is `room`."""

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Have ``take`` called with what arrives from now on instead of keeping it for ``read``; it must not raise."""


class Inbox:
    """Bytes that arrived and nobody has read; asks its source to pause above a limit.

    All methods belong to the event loop's thread; ``full`` may be read from any.
    """

    def __init__(
        self, *, pause: Callable[[], None], resume: Callable[[], None], high_bytes: int = HIGH_BYTES
    ) -> None:
        """Call ``pause`` above ``high_bytes``, ``resume`` once the inbox was emptied."""
        self._pause = pause
        self._resume = resume
        self._high = high_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._listener: Callable[[bytes], None] | None = None
        self.full = False

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Call ``take`` with what arrives while nothing lies here, or nobody any more."""
        self._listener = take

    def put(self, data: bytes) -> None:
        """Append what arrived, or hand it to who listens."""
        if self._listener is not None and not self._parts:
            self._listener(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size >= self._high and not self.full:
            self.full = True
            self._pause()
        self._wake()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._wake()

    async def take(self) -> bytes:
        """All that is there, at least one byte; ``b""`` after the end."""
        while not self._parts:
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self.full:
            self.full = False
            self._resume()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Valve:
    """Lets writers through while the outgoing buffer has room, and keeps the link's state.

    Attributes:
        health: up, degraded (no room for ``late_s``) or down.
        reason: why the link went down.
    """

    def __init__(self, name: str, *, late_s: float = 5.0, stall_s: float = 30.0) -> None:
        """Complain after ``late_s`` without any room, give up after ``stall_s``."""
        self.health = Health.DOWN
        self.reason: LinkError | None = None
        self._name = name
        self._late_s = late_s
        self._stall_s = stall_s
        self._room = asyncio.Event()

    def note(self, sign: Sign, reason: LinkError | None = None) -> None:
        """Take a sign; the first reason for a loss stays."""
        self.health = next_health(self.health, sign)
        if sign is Sign.OPENED:
            self.reason = None
            self._room.set()
        elif sign is Sign.LOST:
            self.reason = self.reason or reason
            self._room.set()  # writers wake up and see the loss

    def shut(self) -> None:
        """The buffer is full."""
        if self.health is not Health.DOWN:
            self._room.clear()

    def unshut(self) -> None:
        """The buffer has room again."""
        self._room.set()
        self.health = next_health(self.health, Sign.HEARD)

    @property
    def open(self) -> bool:
        """Whether the link is there and has room."""
        return self.health is not Health.DOWN and self._room.is_set()

    def check(self) -> None:
        """Raise unless the link is there.

        Raises:
            LinkError: it is down.
        """
        if self.health is Health.DOWN:
            reason = self.reason
            if reason is None:
                raise LinkError("the link is down", link=self._name, cure="Open it first")
            raise LinkError(reason.message, link=self._name, cure=reason.cure) from reason

    async def passable(self) -> None:
        """Wait for room.

        Raises:
            LinkError: the link is down, or nothing moved for ``stall_s``.
        """
        if not self._room.is_set():
            try:
                async with asyncio.timeout(self._late_s):
                    await self._room.wait()
            except TimeoutError:
                self.note(Sign.LATE)
                try:
                    async with asyncio.timeout(self._stall_s - self._late_s):
                        await self._room.wait()
                except TimeoutError as error:
                    text = f"the other side took nothing for {self._stall_s:g} s"
                    raise LinkError(text, link=self._name, cure="See whether the board hangs") from error
        self.check()
