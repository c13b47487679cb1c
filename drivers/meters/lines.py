"""Lines of text to and from an instrument: on a TCP socket, a serial port, or whatever VISA reaches.

``tcp://HOST:PORT``, ``serial://PORT`` (a path, or a name in /dev/serial/by-id), or a VISA resource name such as
``USB0::0x1AB1::0x0E11::DP8C000000::INSTR`` (needs the extra ``instruments``: pyvisa and pyvisa-py).
Every wait is bounded; a line that does not end is refused. Blocking, for the meter's own thread.
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import serial

from testbed.errors import ConfigError, MeterError, SampleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LONGEST_LINE = 1 << 16
_PIECE = 1 << 12


class Lines(Protocol):
    """One open way to an instrument."""

    def tell(self, text: str) -> None:
        """Send a line.

        Raises:
            MeterError: the way is gone.
        """

    def line(self, seconds: float) -> str:
        """The next line, without its end.

        Raises:
            SampleError: none came in time. MeterError: the way is gone.
        """

    def drain(self) -> None:
        """Forget what has come and was not read."""

    def close(self) -> None:
        """Let go."""


WAYS = 'Write "tcp://HOST:PORT", "serial://PORT" or a VISA resource name'


def ask(lines: Lines, text: str, seconds: float) -> str:
    """A question and its answer.

    Raises:
        MeterError: no answer. One that came late would be taken for the next question's, so the way must be opened
            again.
    """
    lines.tell(text)
    try:
        return lines.line(seconds)
    except SampleError as error:
        raise MeterError(f"no answer to {text!r} within {seconds:g} s") from error


def open_lines(where: str, *, baud: int = 9600, end: str = "\n", seconds: float = 2.0) -> Lines:
    """Open the way that ``where`` names.

    Args:
        baud: of a serial port. end: what our lines end with. seconds: bound on opening.

    Raises:
        MeterError: it cannot be opened, or is none that is known.
    """
    if "::" in where:
        return _VisaLines(where, end, seconds)
    if not _is_way(where):
        raise MeterError(f"{where!r} names no way to an instrument", cure=WAYS)
    parts = urlsplit(where)
    if parts.scheme == "tcp" and parts.hostname and parts.port:
        return _tcp(parts.hostname, parts.port, end, seconds)
    return _serial(where.partition("://")[2], baud, end)


def check_way(where: str, file: Path, key: str) -> None:
    """Look at a table's ``where``; nothing is opened.

    Raises:
        ConfigError: it is none of `WAYS`.
    """
    if not _is_way(where):
        raise ConfigError(f"{where!r} names no way to an instrument", file=file, key=key, cure=WAYS)


def _is_way(where: str) -> bool:
    if "::" in where:
        return True
    parts = urlsplit(where)
    try:
        tcp = parts.scheme == "tcp" and bool(parts.hostname and parts.port)
    except ValueError:  # the port is no number
        return False
    return tcp or (parts.scheme == "serial" and bool(where.partition("://")[2]))


class _DescriptorLines:
    """Lines on a file descriptor, ended by LF or CRLF."""

    def __init__(
        self,
        fd: int,
        name: str,
        end: str,
        receive: Callable[[], bytes],
        send: Callable[[bytes], object],
        close: Callable[[], None],
    ) -> None:
        self._fd = fd
        self._name = name
        self._end = end
        self._receive = receive
        self._send = send
        self.close = close
        self._buffer = b""

    def tell(self, text: str) -> None:
        try:
            self._send((text + self._end).encode("ascii"))
        except (OSError, serial.SerialException) as error:
            raise MeterError(f"{self._name} is gone: {error}") from error

    def line(self, seconds: float) -> str:
        limit = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LONGEST_LINE:
                self._buffer = b""
                raise SampleError(SampleError.GARBAGE, f"{self._name}: a line without end")
            if not self._pour(limit - time.monotonic()):
                raise SampleError(SampleError.NO_ANSWER, f"{self._name}: no line within {seconds:.2g} s")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("ascii", "replace")

    def drain(self) -> None:
        while self._pour(0.0):
            self._buffer = b""
        self._buffer = b""

    def _pour(self, seconds: float) -> bool:
        try:
            if not select.select([self._fd], [], [], max(seconds, 0.0))[0]:
                return False
            data = self._receive()
        except (OSError, ValueError, serial.SerialException) as error:
            raise MeterError(f"{self._name} is gone: {error}") from error
        if not data:
            raise MeterError(f"{self._name} was closed by the instrument")
        self._buffer += data
        return True


def _tcp(host: str, port: int, end: str, seconds: float) -> Lines:
    try:
        link = socket.create_connection((host, port), timeout=seconds)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        cure = "See whether the instrument is on, and lets itself be controlled over the network"
        raise MeterError(f"tcp://{host}:{port} cannot be reached: {error}", cure=cure) from error
    return _DescriptorLines(
        link.fileno(), f"tcp://{host}:{port}", end, lambda: link.recv(_PIECE), link.sendall, link.close
    )


def _serial(port: str, baud: int, end: str) -> Lines:
    path = port if "/" in port else f"/dev/serial/by-id/{port}"
    try:
        device = serial.Serial(path, baud, timeout=0, write_timeout=2.0, exclusive=True)
    except (OSError, ValueError) as error:  # a SerialException is an OSError
        cure = "See whether it is plugged in, not in use, and its group (often dialout) is yours"
        raise MeterError(f"serial://{port} cannot be opened: {error}", cure=cure) from error
    return _DescriptorLines(
        device.fileno(),
        f"serial://{port}",
        end,
        lambda: bytes(device.read(_PIECE)),
        device.write,  # all of it, or a time-out
        device.close,
    )


class _VisaLines:
    """Lines through pyvisa's own back end in Python."""

    def __init__(self, resource: str, end: str, seconds: float) -> None:
        try:
            import pyvisa
        except ImportError as error:
            cure = "Install the extra: pip install 'testbed[instruments]'"
            raise MeterError(f"{resource} needs pyvisa", cure=cure) from error
        self._errors: tuple[type[Exception], ...] = (pyvisa.Error, OSError, ValueError)
        self._timeout = pyvisa.errors.VisaIOError
        try:
            self._manager = pyvisa.ResourceManager("@py")
            opened: Any = self._manager.open_resource(resource, open_timeout=round(seconds * 1e3))
        except self._errors as error:
            cure = "See `python -m visa info` or `pyvisa-info` for what this host can reach"
            raise MeterError(f"{resource} cannot be opened: {error}", cure=cure) from error
        self._device = opened
        self._device.read_termination = "\n"
        self._device.write_termination = end

    def tell(self, text: str) -> None:
        try:
            self._device.write(text)
        except self._errors as error:
            raise MeterError(f"the instrument is gone: {error}") from error

    def line(self, seconds: float) -> str:
        try:
            self._device.timeout = max(round(seconds * 1e3), 1)
            return str(self._device.read()).rstrip("\r\n")
        except self._timeout as error:
            raise SampleError(SampleError.NO_ANSWER, f"no line within {seconds:.2g} s: {error}") from error
        except self._errors as error:
            raise MeterError(f"the instrument is gone: {error}") from error

    def drain(self) -> None:
        try:
            self._device.clear()
        except self._errors:
            return  # not every way can be cleared; what is left is refused as nonsense

    def close(self) -> None:
        self._device.close()
        self._manager.close()
