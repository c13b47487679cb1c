"""Sealed records over TCP: one persistent connection for each client, no delay, the kernel's loss recovery.

A record is ``size u32 | sealed content`` (`testbed.wire.sealing`: the same cipher as for datagrams, under another key).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from testbed.errors import RemoteWireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.wire.sealing import Opener, Sealer

SIZE = struct.Struct(">I")
LARGEST = 1 << 22


def tune(sock: socket.socket, congestion: str) -> None:
    """Send at once, and by that congestion control.

    Raises:
        OSError: the kernel does not have it.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if congestion:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode("ascii"))


def control_of(sock: socket.socket) -> str:
    """Its congestion control."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).split(b"\0")[0].decode("ascii")


class Records(asyncio.Protocol):
    """One end of a stream."""

    def __init__(
        self, sealer: Sealer, opener: Opener, take: Callable[[bytes], None], lost: Callable[[], None]
    ) -> None:
        """Not connected yet.

        Args:
            take: gets each content. lost: called when the connection is gone.
        """
        self._sealer, self._opener = sealer, opener
        self._take, self._lost = take, lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand on every whole record; what is not genuine ends the connection."""
        self._buffer += data
        while len(self._buffer) >= SIZE.size:
            (size,) = SIZE.unpack_from(self._buffer)
            if size > LARGEST:
                self.close()
                return
            end = SIZE.size + size
            if len(self._buffer) < end:
                return
            sealed = bytes(self._buffer[SIZE.size : end])
            del self._buffer[:end]
            try:
                content = self._opener.open(sealed)
            except RemoteWireError:
                self.close()
                return
            self._take(content)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell it."""
        self._transport = None
        self._lost()

    def send(self, content: bytes) -> None:
        """Seal and send; nothing happens on a connection that is gone."""
        if self._transport is not None:
            sealed = self._sealer.seal(content)
            self._transport.write(SIZE.pack(len(sealed)) + sealed)

    def close(self) -> None:
        """Let go."""
        if self._transport is not None:
            self._transport.close()
