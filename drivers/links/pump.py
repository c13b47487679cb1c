"""Two threads at the rim that turn a blocking library's read and write into a link's inbox and valve."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING

from drivers.links.health import Sign
from drivers.links.stream import Inbox, Valve
from testbed.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Callable

_HIGH_BYTES = 1 << 20
_LOW_BYTES = 1 << 18
_JOIN_S = 2.0


class ThreadPump:
    """Carries bytes between an event loop and a blocking library; started in the loop's thread.

    Attributes:
        inbox: what was read. valve: room for writing, and the link's state.
    """

    def __init__(
        self,
        name: str,
        *,
        read: Callable[[], bytes | None],
        write: Callable[[bytes], None],
        stall_s: float = 30.0,
    ) -> None:
        """Not running yet.

        Args:
            name: for errors and thread names.
            read: blocks for a second at most; ``None`` if nothing came, ``b""`` at the end; may raise ``OSError``.
            write: blocks until all is taken; may raise ``OSError``.
            stall_s: longest that `send` waits for room.
        """
        self.inbox = Inbox(pause=self._pause, resume=self._resume)
        self.valve = Valve(name, stall_s=stall_s)
        self._name = name
        self._read = read
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._stopping = threading.Event()
        self._resumed = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"{name} {work.__name__.strip('_')}", daemon=True)
            for work in (self._read_on, self._write_on)
        ]

    def start(self) -> None:
        """Begin to carry."""
        self.valve.note(Sign.OPENED)
        for thread in self._threads:
            thread.start()

    async def send(self, data: bytes) -> None:
        """Hand bytes to the writing thread; waits while a megabyte lies before it.

        Raises:
            LinkError: the link is down, or takes nothing.
        """
        self.valve.check()
        with self._lock:
            self._pending += len(data)
            if self._pending > _HIGH_BYTES:
                self.valve.shut()
        self._queue.put(data)
        await self.valve.passable()

    def stop(self) -> None:
        """Tell the threads to end; they notice within a second, or when the library lets go of them."""
        self.valve.note(Sign.LOST)
        self.inbox.end()
        self._stopping.set()
        self._resumed.set()
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the threads, two seconds each at most; blocks, so not on the event loop."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_JOIN_S)

    def _pause(self) -> None:
        self._resumed.clear()

    def _resume(self) -> None:
        self._resumed.set()

    def _read_on(self) -> None:
        reason: str | None = None
        try:
            while not self._stopping.is_set():
                data = self._read()
                if data is None:
                    continue
                if not data:
                    break
                self._tell(self.inbox.put, data)
                if self.inbox.full:
                    self._resumed.wait(1.0)
        except OSError as error:
            reason = str(error) or type(error).__name__
        self._tell(self._lost, reason or "the other side closed")
        self._tell(self.inbox.end)

    def _write_on(self) -> None:
        try:
            while (data := self._queue.get()) is not None and not self._stopping.is_set():
                self._write(data)
                with self._lock:
                    before = self._pending
                    self._pending -= len(data)
                    relieved = before > _LOW_BYTES >= self._pending
                if relieved:
                    self._tell(self.valve.unshut)
        except OSError as error:
            self._tell(self._lost, str(error) or type(error).__name__)

    def _lost(self, reason: str) -> None:
        self.valve.note(Sign.LOST, LinkError(reason, link=self._name))

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)
