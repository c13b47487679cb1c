"""The two lines an agent can speak on: its standard streams, and a serial device in raw mode."""

from __future__ import annotations

import errno
import os
import select
import termios
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Line(Protocol):
        """Bytes in and out.

        Attributes:
            lossy: bytes may get lost, so that what was received is acknowledged.
            survives: whether the agent stays when a session ends (a serial agent is started once, by hand).
            chunk_bytes: largest frame payload worth sending.
            quiet_s: silence after which an unfinished frame is suspected of being truncated.
        """

        lossy: bool
        survives: bool
        chunk_bytes: int
        quiet_s: float

        def waiter(self) -> Callable[[float], object]:
            """Something to wait with for bytes or the end, for so many seconds, in one thread.

            Of several threads that wait, each with a waiter of its own, one wakes up.
            """

        def read(self, timeout_s: float) -> bytes | None:
            """What came, ``b""`` if nothing did in time, ``None`` at the end; for one thread at a time.

            Raises:
                OSError: the line broke.
            """

        def more(self) -> bool:
            """Whether `read` would give something now: nobody who waits may have been told of it."""

        def write(self, data: bytes) -> None:
            """Write all of it, waiting as long as the other side needs.

            Raises:
                OSError: the line broke.
            """


_READ_BYTES = 1 << 16
"""What a pipe holds; from twice as much on, every read would cost a mapping of memory."""


class _Descriptors:
    """Reading and writing on file descriptors."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._poll = select.poll()
        self._poll.register(read_fd, select.POLLIN)

    def waiter(self) -> Callable[[float], object]:
        """Something to wait with; the kernel wakes one of those that wait (Source: EPOLLEXCLUSIVE, epoll_ctl(2))."""
        waiting = select.epoll()
        try:
            waiting.register(self._read_fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        except PermissionError:  # a file can always be read
            waiting.close()
            return lambda _: None
        return waiting.poll

    def read(self, timeout_s: float) -> bytes | None:
        """What came, ``b""`` if nothing did in time, ``None`` at the end."""
        if not self._poll.poll(timeout_s * 1000):
            return b""
        try:
            return os.read(self._read_fd, _READ_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # the other end of a pseudo-terminal has gone
                return None
            raise

    def more(self) -> bool:
        """Whether `read` would give something now."""
        return bool(self._poll.poll(0))

    def write(self, data: bytes) -> None:
        """Write all of it."""
        written = self._write_some(data)
        if written < len(data):
            view = memoryview(data)[written:]
            while view:
                view = view[self._write_some(view) :]

    def _write_some(self, view: bytes | memoryview) -> int:
        try:
            return os.write(self._write_fd, view)
        except BlockingIOError:
            select.select([], [self._write_fd], [], 1.0)
            return 0


class StdioLine(_Descriptors):
    """Standard input and output, taken away from everybody else in the process.

    File descriptor 1 then leads to standard error, so nothing that prints, native libraries included, can
    put stray bytes on the wire; descriptor 0 leads to nowhere.
    """

    lossy = False
    survives = False
    chunk_bytes = 16 * 1024
    quiet_s = 1.0

    def __init__(self) -> None:
        """Take the streams."""
        read_fd, write_fd = os.dup(0), os.dup(1)
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        os.dup2(2, 1)
        super().__init__(read_fd, write_fd)


class TtyLine(_Descriptors):
    """A serial device: raw, 8 data bits, no parity, 1 stop bit, no flow control."""

    lossy = True
    survives = True
    chunk_bytes = 256
    quiet_s = 0.3

    def __init__(self, device: str, baud: int) -> None:
        """Open and configure.

        Raises:
            OSError: the device cannot be opened or is no terminal.
            ValueError: the system has no such speed.
        """
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise ValueError(f"this system knows no serial speed of {baud} baud")
        fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            tty.setraw(fd)
            modes = termios.tcgetattr(fd)
            modes[2] |= termios.CLOCAL | termios.CREAD
            modes[2] &= ~(termios.CSTOPB | getattr(termios, "CRTSCTS", 0))
            modes[4] = modes[5] = speed
            termios.tcsetattr(fd, termios.TCSANOW, modes)
        except termios.error as error:
            os.close(fd)
            raise OSError(*error.args) from error
        super().__init__(fd, fd)
