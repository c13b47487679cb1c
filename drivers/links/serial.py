"""A serial line by pyserial: raw, 8-bit clean, exclusive; paced where the board's buffer is small.

On a descriptor the event loop reads and writes by itself; ports without one (``socket://``, ``rfc2217://``) get two
threads. Source: pyserial 3.5, "URL handlers"; stable names as udev makes them in /dev/serial/by-id.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import time
from pathlib import Path

import serial
from msgspec import Struct

from drivers.links.health import Sign
from drivers.links.pump import ThreadPump
from drivers.links.stream import Inbox, Valve
from testbed.errors import LinkError
from testbed.model.view import Health
from testbed.units import S

_BY_ID = Path("/dev/serial/by-id")
_POLL_S = 0.05
BITS_PER_BYTE = 10
"""Start bit, eight bits, stop bit."""


class SerialConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to use a port.

    Attributes:
        port: a path, the name of a link in /dev/serial/by-id, or a pyserial URL.
        baud: line rate [bit/s].
        rtscts, xonxoff: flow control; ``xonxoff`` is not 8-bit clean and is for boards that cannot do without.
        wait_s: how long a port that is not there yet (re-enumeration, reset) is waited for.
        pace_bytes_per_s, pace_chunk_bytes: never hand on faster than this, in pieces of this size; 0 for no limit.
    """

    port: str
    baud: int = 115200
    rtscts: bool = False
    xonxoff: bool = False
    wait_s: float = 5.0
    pace_bytes_per_s: int = 0
    pace_chunk_bytes: int = 64

    @property
    def bytes_per_s(self) -> float:
        """What the line carries each way [bytes/s]."""
        line = self.baud / BITS_PER_BYTE
        return min(line, self.pace_bytes_per_s) if self.pace_bytes_per_s else line


def port_path(port: str) -> str:
    """The path or URL behind a port's name."""
    return port if "/" in port else str(_BY_ID / port)


def stable_port(port: str) -> str:
    """One name for one port: its link in /dev/serial/by-id where it has one, a URL as it stands, else its real path."""
    if "://" in port:
        return port
    real = Path(port_path(port)).resolve()
    links = sorted(_BY_ID.iterdir()) if _BY_ID.is_dir() else []
    return next((str(link) for link in links if link.resolve() == real), str(real))


class SerialLink:
    """Both directions of one port."""

    def __init__(self, config: SerialConfig, *, stall_s: float = 30.0) -> None:
        """Not open yet; a write gives up when the line takes nothing for ``stall_s``."""
        self._config = config
        self._stall_s = stall_s
        self._name = f"serial://{config.port}"
        self._port: serial.SerialBase | None = None
        self._fd = -1
        self._pump: ThreadPump | None = None
        self._valve = Valve(self._name, stall_s=stall_s)
        self._inbox = Inbox(pause=self._pause, resume=self._resume)
        self._free_at = 0

    @property
    def name(self) -> str:
        """``serial://port``."""
        return self._name

    @property
    def health(self) -> Health:
        """State of the port."""
        return self._valve.health

    async def open(self) -> None:
        """Wait for the port and take it for ourselves alone.

        Raises:
            LinkError: not there within ``wait_s``, in use, or not a port.
        """
        await self.close()
        path = port_path(self._config.port)
        await self._await_path(path)
        self._port = await asyncio.to_thread(self._take, path)
        self._valve = Valve(self._name, stall_s=self._stall_s)
        self._inbox = Inbox(pause=self._pause, resume=self._resume)
        try:
            self._fd = self._port.fileno()
        except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
            self._fd = -1
        if self._fd < 0:
            self._pump = ThreadPump(self._name, read=self._blocking_read, write=self._blocking_write)
            self._valve, self._inbox = self._pump.valve, self._pump.inbox
            self._pump.start()
            return
        os.set_blocking(self._fd, False)
        self._valve.note(Sign.OPENED)
        self._resume()

    async def _await_path(self, path: str) -> None:
        if "://" in path:
            return
        limit = time.monotonic() + self._config.wait_s
        while not await asyncio.to_thread(os.path.exists, path):
            if time.monotonic() >= limit:
                text = f"no port {path} after {self._config.wait_s:g} s"
                raise LinkError(text, link=self._name, cure=await asyncio.to_thread(_ports_cure))
            await asyncio.sleep(_POLL_S)

    def _take(self, path: str) -> serial.SerialBase:
        c = self._config
        exclusive = None if "://" in path else True
        try:
            return serial.serial_for_url(
                path, baudrate=c.baud, rtscts=c.rtscts, xonxoff=c.xonxoff, timeout=0.2, exclusive=exclusive
            )
        except (OSError, ValueError) as error:  # SerialException is an OSError
            cure = "See who holds it (fuser), and whether you are in the group that may use it (dialout)"
            raise LinkError(f"cannot open {path}: {error}", link=self._name, cure=cure) from error

    async def read(self) -> bytes:
        """What came in; ``b""`` once the port is gone."""
        return await self._inbox.take()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes to the line, no faster than the pace.

        Raises:
            LinkError: the port is gone, or takes nothing.
        """
        self._valve.check()
        view, pace = memoryview(data), self._config.pace_bytes_per_s
        step = self._config.pace_chunk_bytes if pace else len(view)
        for at in range(0, len(view), step or 1):
            piece = view[at : at + step]
            if pace:
                # One piece may lie ahead in the system's buffer, so that a late timer leaves no gap on the line.
                lead = step * S // pace
                wait = self._free_at - lead - time.monotonic_ns()
                if wait > 0:
                    await asyncio.sleep(wait / S)
                self._free_at = max(self._free_at, time.monotonic_ns()) + len(piece) * S // pace
            await self._hand_on(piece)

    async def _hand_on(self, piece: memoryview) -> None:
        if self._pump is not None:
            await self._pump.send(bytes(piece))
            return
        loop = asyncio.get_running_loop()
        while piece:
            self._valve.check()
            try:
                done = os.write(self._fd, piece)
            except BlockingIOError:
                self._valve.shut()
                loop.add_writer(self._fd, self._writable)
                await self._valve.passable()
                continue
            except OSError as error:
                self._lose(str(error))
                raise LinkError(f"the port is gone: {error}", link=self._name) from error
            piece = piece[done:]

    async def close(self) -> None:
        """Give the port back."""
        port, pump = self._port, self._pump
        if port is None:
            return
        self._port = self._pump = None
        self._lose("closed")
        if pump is not None:
            pump.stop()
            await asyncio.to_thread(pump.join)
        await asyncio.to_thread(_shut, port)

    def _writable(self) -> None:
        asyncio.get_running_loop().remove_writer(self._fd)
        self._valve.unshut()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        except OSError as error:  # a pseudo-terminal whose other end is closed answers EIO
            self._lose(str(error))
            return
        if data:
            self._inbox.put(data)
        else:
            self._lose("the port went away")

    def _lose(self, reason: str) -> None:
        self._pause()
        if self._fd >= 0:
            asyncio.get_running_loop().remove_writer(self._fd)
            self._fd = -1
        self._valve.note(Sign.LOST, LinkError(f"the port is gone: {reason}", link=self._name))
        self._inbox.end()

    def _pause(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)

    def _resume(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _blocking_read(self) -> bytes | None:
        port = self._port
        if port is None:
            return b""
        return bytes(port.read(max(1, int(getattr(port, "in_waiting", 1))))) or None

    def _blocking_write(self, data: bytes) -> None:
        if self._port is not None:
            self._port.write(data)


def _ports_cure() -> str:
    there = sorted(path.name for path in _BY_ID.iterdir()) if _BY_ID.is_dir() else []
    return f"Ports here: {', '.join(there)}" if there else f"Plug the board in; {_BY_ID} lists no port"


def _shut(port: serial.SerialBase) -> None:
    """Drop what waits and close: draining a line without a reader would block."""
    fd = getattr(port, "fd", None)
    if isinstance(fd, int):
        with contextlib.suppress(termios.error):  # the device is gone, and what waited with it
            termios.tcflush(fd, termios.TCIOFLUSH)
    with contextlib.suppress(OSError):
        port.close()
