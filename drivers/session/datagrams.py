"""The host's end of a board's datagram channel: orders leave as paced, sealed packets, answers come back the same way.

The key is drawn here and travels over the board's own authenticated session; the channel counts as open once a sealed
datagram has gone to the board and come back. Nothing is sent a second time. There is no unsealed way: without a channel
a lossy order fails with the reason.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from drivers.session.lossy import Encoder, packets_of
from testbed.errors import BoardError, LinkError, LocalWireError, RemoteWireError
from testbed.units import S
from testbed.wire import messages as m
from testbed.wire.datagrams import ANSWER, HELLO, PICTURE, Answers
from testbed.wire.sealing import KEY_BYTES, TO_BOARD, TO_HOST, Opener, Sealer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from drivers.session.fates import Fates
    from drivers.session.ledger import Flight
    from drivers.session.lossy import Picture
    from testbed.model.datagrams import LossyOptions
    from testbed.units import Ns

    Between: TypeAlias = Callable[[str, int], Awaitable[tuple[str, int]]]

_ASK: Ns = 10 * S
_HELLOS = 10
_HELLO_S = 0.2
_ABOUT_ORDERS = (m.Accepted, m.Done, m.Failed, m.Cancelled)
_EARLY_S = 0.0005


class Datagrams(asyncio.DatagramProtocol):
    """One key's worth of channel; the event loop's thread only.

    Attributes:
        why_not: why there is no channel; empty while there is one.
        ignored: datagrams that were not genuine, not fresh, or not understood.
    """

    def __init__(
        self,
        options: LossyOptions,
        encoder: Encoder,
        fates: Fates,
        now: Callable[[], Ns],
        between: Between | None = None,
    ) -> None:
        """Nothing is open.

        Args:
            encoder: kept from one connection to the next. between: puts something between host and board: takes where
                the board is, gives where to send.
        """
        self.why_not = "it is not open"
        self.ignored = 0
        self._options = options
        self._encoder = encoder
        self._fates = fates
        self._now = now
        self._between = between
        self._answers = Answers()
        self._back = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._out: deque[tuple[Flight, bytes, bool, bool]] = deque()
        self._free = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._silence_s = options.silence_ms / 1e3
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None

    async def open(self, ask: Callable[[Callable[[int], m.Message], Ns], Awaitable[Any]]) -> None:
        """Agree on a key and see whether datagrams get through; ``why_not`` says how it went.

        Args:
            ask: `drivers.session.questions.Questions.ask`.

        Raises:
            LinkError: the reliable session was lost meanwhile.
        """
        try:
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        except ImportError as error:
            self.why_not = f"this host lacks the package cryptography: {error}"
            return
        key = os.urandom(KEY_BYTES)
        self._sealer = Sealer(ChaCha20Poly1305(key), TO_BOARD)
        self._opener = Opener(ChaCha20Poly1305(key), TO_HOST)
        try:
            reply = await ask(lambda number: m.OpenDatagrams(number, key, self._options.address), _ASK)
        except BoardError as error:
            self.why_not = error.message
            return
        if not reply.ok:
            self.why_not = f"the board: {reply.text}"
            return
        try:
            where = (reply.address, reply.port)
            if self._between is not None:
                where = await self._between(*where)
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=where)
        except (OSError, LinkError) as error:
            self.why_not = f"no way to {reply.address} port {reply.port}: {error}"
            return
        await self._greet(f"{reply.address} port {reply.port}")

    async def _greet(self, where: str) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_HELLOS):
            began = loop.time()
            self._put(bytes((HELLO,)))
            try:
                async with asyncio.timeout(_HELLO_S):
                    await self._back.wait()
            except TimeoutError:
                continue
            self._silence_s += 2 * (loop.time() - began)
            self.why_not = ""
            return
        self.why_not = f"no datagram came back from {where}; see whether a firewall stands between"

    def close(self, why: str = "the link was lost") -> None:
        """Close it; what has not left stays here, and its orders settle with the session."""
        self.why_not = why
        self._out.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    # --- out --------------------------------------------------------------------------------------------

    def send(self, flight: Flight) -> None:
        """Send an order of one item, at once if its picture was encoded before, else when a thread has done so."""
        key = self._encoder.key_of(flight)
        picture = self._encoder.find(key)
        if picture is not None:
            self._post(flight, picture)
            return
        loop = asyncio.get_running_loop()

        def encoded(work: asyncio.Future[Picture]) -> None:
            if work.cancelled() or not self._fates.stands(flight):
                return
            error = work.exception()
            if isinstance(error, (LocalWireError, ImportError)):
                self._fates.fail(flight, str(error))
            elif error is not None:
                self._fates.fail(flight, f"the input could not be encoded: {error!r}")
            else:
                self._encoder.keep(key, work.result())
                self._post(flight, work.result())

        loop.run_in_executor(None, self._encoder.encode, flight.payload[0]).add_done_callback(encoded)

    def _post(self, flight: Flight, picture: Picture) -> None:
        try:
            contents = packets_of(flight, picture, self._options, self._now())
        except LocalWireError as error:
            self._fates.fail(flight, str(error))
            return
        last = len(contents) - 1
        for number, content in enumerate(contents):
            self._out.append((flight, content, number == 0, number == last))
        if self._timer is None:
            self._pump()

    def _pump(self) -> None:
        """Send what the pace allows by now."""
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        while self._out and self._transport is not None:
            if self._free > now + _EARLY_S:
                self._timer = loop.call_at(self._free, self._pump)
                return
            flight, content, first, last = self._out.popleft()
            if not self._fates.stands(flight):
                continue
            size = self._put(bytes((PICTURE,)) + content)
            self._free = max(self._free, now) + size * 8 / (self._options.pace_mbit * 1e6)
            if first:
                self._fates.left(flight)
            if last:
                loop.call_later(self._silence_s, self._fates.unheard, flight)

    def _put(self, content: bytes) -> int:
        assert self._sealer is not None
        datagram = self._sealer.seal(content)
        if self._transport is not None:
            self._transport.sendto(datagram)
        return len(datagram)

    # --- in ---------------------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Something came; whoever it is from, only what was sealed under our key counts."""
        assert self._opener is not None
        try:
            content = self._opener.open(data)
            if content[:1] == bytes((HELLO,)):
                self._back.set()
                return
            if content[:1] != bytes((ANSWER,)):
                raise RemoteWireError("a datagram of unknown kind")
            message = self._answers.take(content)
        except RemoteWireError:
            self.ignored += 1
            return
        if isinstance(message, _ABOUT_ORDERS):
            self._fates.hear(message)

    def saw(self, message: m.Done | m.Failed) -> None:
        """An order has settled that way: note what of it was lost."""
        if isinstance(message, m.Failed):
            if message.lost_frac:
                self._fates.lost(message.lost_frac)
            return
        packets, gone = message.report.get("packets"), message.report.get("packets_lost")
        if isinstance(packets, int) and isinstance(gone, int) and packets > 0:
            self._fates.lost(gone / packets)

    def error_received(self, exc: Exception) -> None:
        """A datagram was refused: nobody listens there any more; the reliable session finds out what it means."""
        self.ignored += 1
