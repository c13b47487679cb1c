"""The two lines an agent can speak on: its standard streams, and a serial device in raw mode."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import termios
import tty
from typing import TYPE_CHECKING

from testbed.wire.session import DEFAULT_CHUNK_BYTES, SERIAL_CHUNK_BYTES

if TYPE_CHECKING:
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

        def read(self, timeout_s: float | None) -> bytes | None:
            """What came, ``b""`` if nothing did in time, ``None`` at the end; for one thread at a time.

            Without a limit it waits as long as it takes, and may give ``b""`` all the same.

            Raises:
                OSError: the line broke.
            """

        def wait(self, timeout_s: float) -> bool:
            """Wait until something can be read and that is to be noticed, or for so long; which it was."""

        def notice(self, wanted: bool) -> None:
            """Have who waits notice what can be read, once, or let it sleep on; any thread."""

        def write(self, data: bytes) -> None:
            """Write all of it, waiting as long as the other side needs.

            Raises:
                OSError: the line broke.
            """


_READ_BYTES = 1 << 18
_PIPE_BYTES = 1 << 20
"""What an unprivileged user may ask for: with the usual 64 KiB, a large answer waits for sshd again and again."""
_SET_PIPE_BYTES = 1031  # the standard library has a name for F_SETPIPE_SZ from Python 3.10 on; fcntl(2)


_ASLEEP = select.EPOLLONESHOT
_AWAKE = select.EPOLLIN | select.EPOLLONESHOT
"""Once told of, it is not told of again until asked for, the end of the line included. Source: epoll_ctl(2)."""


class _Descriptors:
    """Reading and writing on file descriptors."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._poll = select.poll()
        self._poll.register(read_fd, select.POLLIN)
        self._blocks = os.get_blocking(read_fd)
        self._waiting = select.epoll()
        try:
            self._waiting.register(read_fd, _ASLEEP)
            self._watched = True
        except PermissionError:  # a file: whoever reads it has all of it soon enough
            self._watched = False

    def wait(self, timeout_s: float) -> bool:
        """Wait for what can be read, where that is to be noticed."""
        return bool(self._waiting.poll(timeout_s))

    def notice(self, wanted: bool) -> None:
        """Tell who waits of what can be read, or not."""
        if self._watched:
            self._waiting.modify(self._read_fd, _AWAKE if wanted else _ASLEEP)

    def read(self, timeout_s: float | None) -> bytes | None:
        """What came, ``b""`` if nothing did in time, ``None`` at the end."""
        if timeout_s is None:
            if not self._blocks:
                self._poll.poll()
        elif not self._poll.poll(timeout_s * 1000):
            return b""
        try:
            return os.read(self._read_fd, _READ_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # the other end of a pseudo-terminal has gone
                return None
            raise

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
    chunk_bytes = DEFAULT_CHUNK_BYTES
    quiet_s = 1.0

    def __init__(self) -> None:
        """Take the streams."""
        read_fd, write_fd = os.dup(0), os.dup(1)
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        os.dup2(2, 1)
        for fd in (read_fd, write_fd):
            with contextlib.suppress(OSError):  # no pipe, or the user's pipes hold as much as they may
                fcntl.fcntl(fd, _SET_PIPE_BYTES, _PIPE_BYTES)
        super().__init__(read_fd, write_fd)


class TtyLine(_Descriptors):
    """A serial device: raw, 8 data bits, no parity, 1 stop bit, no flow control."""

    lossy = True
    survives = True
    chunk_bytes = SERIAL_CHUNK_BYTES
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
