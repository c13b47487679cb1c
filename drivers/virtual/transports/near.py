"""The near end: a client's socket and stream, and how a picture goes by each transport.

``lossy``: sealed datagrams, none of them sent again. ``fec``: the same with coded ones beside them. ``tcp``: the whole
picture as one sealed record. A picture of datagrams that the far end could not use, or of which nothing was heard for
the silence, goes over the stream once more. Datagrams of a picture leave in one burst; the wire's rate spreads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from drivers.virtual.transports.coding import protect
from drivers.virtual.transports.contents import (
    CODED,
    DONE,
    HELLO,
    PICTURE,
    decode_answer,
    order_of,
    whole,
)
from drivers.virtual.transports.streams import Records, tune
from testbed.errors import RemoteWireError
from testbed.model.carriage import Carried
from testbed.wire.fragments import pack
from testbed.wire.sealing import TO_BOARD, TO_HOST, Opener, Sealer

if TYPE_CHECKING:
    from drivers.virtual.transports.options import CarrierOptions, Transport
    from testbed.wire.jpeg import Shape

_SEND_BYTES = 1 << 20
_GREET_S = 2.0


class _Open:
    """A picture that was not answered yet."""

    __slots__ = ("again", "done", "picture", "timer")

    def __init__(self, picture: tuple[Shape, list[bytes]], done: asyncio.Future[Carried]) -> None:
        self.picture, self.done = picture, done
        self.again = False
        self.timer: asyncio.TimerHandle | None = None


class NearClient(asyncio.DatagramProtocol):
    """One client.

    Attributes:
        rtt_s: round trip of the greeting. ignored: what came and was not genuine or not understood.
    """

    def __init__(self, transport: Transport, keys: tuple[bytes, bytes], options: CarrierOptions) -> None:
        """Nothing is open; keys are for datagrams and for the stream."""
        self._kind, self._options = transport, options
        datagrams, stream = (ChaCha20Poly1305(key) for key in keys)
        self._opener, self._sealer = Opener(datagrams, TO_HOST), Sealer(datagrams, TO_BOARD)
        self._stream = Sealer(stream, TO_BOARD), Opener(stream, TO_HOST)
        self._records = Records(*self._stream, self._hear, self._stream_lost)
        self._open: dict[int, _Open] = {}
        self._greeted = asyncio.Event()
        self._datagrams: asyncio.DatagramTransport | None = None
        self.rtt_s = 0.0
        self.ignored = 0

    async def connect(self, address: str, tcp: int, udp: int) -> None:
        """Connect both and greet over the stream; the caller bounds the wait.

        A stream that does not get through at once is begun anew: on an idle network a burst of losses lasts as long as
        the kernel waits between its tries, which is ever longer.

        Raises:
            OSError: nobody is there, or the kernel does not have the congestion control.
        """
        loop = asyncio.get_running_loop()
        while not self._greeted.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GREET_S):
                    await self._greet(address, tcp)
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        plain.setblocking(False)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        plain.connect((address, udp))
        self._datagrams, _ = await loop.create_datagram_endpoint(lambda: self, sock=plain)

    async def _greet(self, address: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._records.close()
        self._records = Records(*self._stream, self._hear, self._stream_lost)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            tune(sock, self._options.congestion)
            await loop.sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        await loop.create_connection(lambda: self._records, sock=sock)
        began = loop.time()
        self._records.send(bytes((HELLO,)))
        await self._greeted.wait()
        self.rtt_s = loop.time() - began

    def close(self) -> None:
        """Let go; what was not answered is cancelled."""
        for one in self._open.values():
            if one.timer is not None:
                one.timer.cancel()
            one.done.cancel()
        self._open.clear()
        self._records.close()
        if self._datagrams is not None:
            self._datagrams.close()

    async def carry(self, number: int, picture: tuple[Shape, list[bytes]]) -> Carried:
        """Send a picture and wait for its answer.

        Raises:
            LocalWireError: a segment does not fit a packet.
        """
        loop = asyncio.get_running_loop()
        one = self._open[number] = _Open(picture, loop.create_future())
        shape, segments = picture
        options = self._options
        try:
            if self._kind == "tcp":
                self._by_stream(number, one)
            elif self._kind == "lossy":
                order = order_of(shape, options)
                for content in pack(number, shape, segments, order, options.packet_bytes):
                    self._put(PICTURE, content)
            else:
                data = whole(number, shape, segments, options)
                for content in protect(
                    number, data, limit=options.packet_bytes, redundancy=options.redundancy
                ):
                    self._put(CODED, content)
            if self._kind != "tcp":
                silence_s = options.silence_ms / 1e3 + 2 * self.rtt_s
                one.timer = loop.call_later(silence_s, self._send_again, number)
            return await one.done
        finally:
            self._open.pop(number, None)
            if one.timer is not None:
                one.timer.cancel()

    def _put(self, kind: int, content: bytes) -> None:
        assert self._datagrams is not None
        self._datagrams.sendto(self._sealer.seal(bytes((kind,)) + content))

    def _by_stream(self, number: int, one: _Open) -> None:
        shape, segments = one.picture
        self._records.send(bytes((PICTURE,)) + whole(number, shape, segments, self._options))

    def _send_again(self, number: int) -> None:
        one = self._open.get(number)
        if one is not None and not one.again and not one.done.done():
            one.again = True
            self._by_stream(number, one)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Something came; only what is genuine counts."""
        try:
            self._hear(self._opener.open(data))
        except RemoteWireError:
            self.ignored += 1

    def error_received(self, exc: Exception) -> None:
        """A datagram was refused; the silence finds out."""
        self.ignored += 1

    def _hear(self, content: bytes) -> None:
        if content == bytes((HELLO,)):
            self._greeted.set()
            return
        try:
            number, state, lost_frac = decode_answer(content)
        except RemoteWireError:
            self.ignored += 1
            return
        one = self._open.get(number)
        if one is None or one.done.done():
            return
        if state == DONE:
            one.done.set_result(Carried(answered=time.monotonic_ns(), lost_frac=lost_frac, again=one.again))
        else:
            self._send_again(number)

    def _stream_lost(self) -> None:
        """Pictures on it are never answered; whoever waits has a limit."""
