"""The session shared by the agent's threads, and who writes what it wants to send.

Whoever finishes work writes it out itself if nobody is writing (no thread switch on the way of a reply);
the reader never writes, since it must not wait: it wakes the writer thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from testbed.wire import Role, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.agent.lines import Line
    from testbed.wire import Message


_OVERFULL_BYTES = 32 << 20


class Outlet:
    """Thread-safe access to one session on one line.

    Attributes:
        dropped: messages that the state of the session did not allow any more, e.g. replies to a host that
        has gone. broken: set when the line cannot be written any more.
    """

    def __init__(self, line: Line, *, max_message_bytes: int, chunk_bytes: int) -> None:
        """Be the agent's end on ``line``."""
        self.dropped = 0
        self.broken = threading.Event()
        self._line = line
        self._budget = chunk_bytes
        self._session = Session(Role.AGENT, max_message_bytes=max_message_bytes, chunk_bytes=chunk_bytes)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Semaphore(0)
        threading.Thread(target=self._write_on, name="writer", daemon=True).start()

    def receive(self, data: bytes) -> list[Message]:
        """Messages completed by what was read; an empty read means a quiet line.

        Raises:
            RemoteWireError: see ``Session.receive``.
        """
        with self._lock:
            try:
                if data:
                    return self._session.receive(data)
                return self._session.resync() if self._session.waiting_bytes else []
            finally:
                if self._session.wants_to_send:  # the session refuses other versions by itself
                    self._wake.release()

    @property
    def writable(self) -> bool:
        """Whether samples and logs may still be added."""
        return self._session.writable and not self.broken.is_set()

    @property
    def overfull(self) -> bool:
        """Whether the host reads so much less than it asks for that nothing more should be taken from it."""
        return self._session.pending_bytes > _OVERFULL_BYTES and not self.broken.is_set()

    @property
    def counts(self) -> dict[str, int]:
        """What went wrong on the way in."""
        return self._session.counts

    def post(self, message: Message) -> None:
        """Queue and return at once.

        Raises:
            LocalWireError: the message does not fit the wire.
        """
        self.queue(message)
        self.wake()

    def wake(self) -> None:
        """Have the writer thread write what is queued."""
        self._wake.release()

    def post_late(self, kind: type, make: Callable[[], Message]) -> None:
        """Queue a message that is built as it leaves; return at once."""
        with self._lock:
            if not self._session.may_send(kind):
                self.dropped += 1
                return
            self._session.send_late(kind, make)
        self._wake.release()

    def send(self, message: Message) -> None:
        """Queue, and write if nobody else does.

        Raises:
            LocalWireError: the message does not fit the wire.
        """
        if self.queue(message):
            self.write()

    def flush(self, timeout_s: float) -> None:
        """Give the writer a bounded time to finish."""
        finished = threading.Thread(target=self.write, name="flush", daemon=True)
        finished.start()
        finished.join(timeout_s)
        if self._writing.acquire(timeout=timeout_s):
            self._writing.release()

    def queue(self, message: Message) -> bool:
        """Hand it to the session, if that still may say it; to be followed by `write`.

        Raises:
            LocalWireError: the message does not fit the wire.
        """
        with self._lock:
            if not self._session.may_send(type(message)):
                self.dropped += 1
                return False
            self._session.send(message)
            return True

    def write(self) -> None:
        """Write what is queued if nobody else does."""
        session = self._session
        while session.wants_to_send and not self.broken.is_set():
            if not self._writing.acquire(blocking=False):
                return  # its holder looks again after releasing
            try:
                while session.wants_to_send:
                    with self._lock:
                        data = session.data_to_send(self._budget)
                    if data:
                        self._line.write(data)
            except OSError:
                self.broken.set()
            finally:
                self._writing.release()

    def _write_on(self) -> None:
        while not self.broken.is_set():
            self._wake.acquire()
            self.write()
