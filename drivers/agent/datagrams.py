"""The agent's UDP socket: sealed pictures in, sealed answers out, under a key that came over the reliable session.

One thread waits for packets and for what is due. Whoever the newest genuine datagram came from is who gets the answers.
Nothing is ever asked for again. An answer leaves at once and twice more, some milliseconds apart, since a burst of
losses would take copies that leave together.

Needs the packages ``cryptography``, ``Pillow`` and ``numpy``; without them there are no datagrams, and the
host is told.
"""

from __future__ import annotations

import contextlib
import heapq
import importlib.util
import logging
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

from drivers.agent.gatherings import Gatherings
from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.datagrams import HELLO, PICTURE, answers
from testbed.wire.fragments import unpack
from testbed.wire.messages import DatagramsOpen
from testbed.wire.sealing import KEY_BYTES, TO_BOARD, TO_HOST, Opener, Sealer

if TYPE_CHECKING:
    from drivers.agent.pictures import Pictures
    from testbed.wire import Message
    from testbed.wire.messages import OpenDatagrams

_NEEDS = {"cryptography": "cryptography", "PIL": "Pillow", "numpy": "numpy"}
_LARGEST = 2048
_AT_ONCE = 64
_RECEIVE_BYTES = 1 << 20
_AGAIN_NS = (4_000_000, 16_000_000)
_LOOPBACK = "127.0.0.1"
_log = logging.getLogger("testbed.agent")


def datagram_facts() -> dict[str, object]:
    """Whether this board can take pictures in packets, and what is missing if not; imports nothing yet."""
    missing = [package for module, package in _NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        return {"available": False, "reason": f"not installed: {', '.join(missing)}"}
    return {"available": True}


def _why_not() -> str:
    """What really keeps this board from it, or an empty string."""
    able = datagram_facts()
    if not able["available"]:
        return str(able["reason"])
    try:
        import numpy as np  # noqa: F401 - whether it can be imported is the question
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        from PIL import Image  # noqa: F401

        ChaCha20Poly1305(bytes(KEY_BYTES))
    except Exception as error:  # noqa: BLE001 - a broken package, or an OpenSSL without the cipher
        return f"{type(error).__name__}: {error}"
    return ""


class Datagrams:
    """At most one open channel."""

    def __init__(self, pictures: Pictures) -> None:
        """Nothing is open."""
        self._pictures = pictures
        self._channel: Channel | None = None

    def open(self, order: OpenDatagrams) -> DatagramsOpen:
        """Open a socket under a new key, or say why not; what was open before is closed."""
        self.close()
        why = _why_not()
        if why:
            return DatagramsOpen(order.request, False, "", 0, why)
        if len(order.key) != KEY_BYTES:
            return DatagramsOpen(order.request, False, "", 0, f"a key has {KEY_BYTES} bytes")
        address = order.address or session_address()
        try:
            self._channel = Channel(address, bytes(order.key), self._pictures)
        except OSError as error:
            return DatagramsOpen(order.request, False, address, 0, f"cannot listen there: {error}")
        return DatagramsOpen(order.request, True, address, self._channel.port, "")

    def close(self) -> None:
        """Close what is open."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def session_address() -> str:
    """The address that the host's SSH session came to, else loopback.

    Source: ``SSH_CONNECTION``, "client address, client port, server address, server port", ssh(1).
    """
    parts = os.environ.get("SSH_CONNECTION", "").split()
    return parts[2] if len(parts) == 4 else _LOOPBACK


class Channel:
    """One socket and one key.

    Attributes:
        port: of the socket. ignored: genuine datagrams that said what cannot be.
    """

    def __init__(self, address: str, key: bytes, pictures: Pictures) -> None:
        """Listen, and start the thread.

        Raises:
            OSError: the address is not ours.
        """
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self.ignored = 0
        self._pictures = pictures
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            self._socket.bind((address, 0))
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._opener = Opener(ChaCha20Poly1305(key), TO_BOARD)
        self._sealer = Sealer(ChaCha20Poly1305(key), TO_HOST)
        self._gatherings = Gatherings()
        self._peer: tuple[object, ...] | None = None
        self._lock = threading.Lock()
        self._again: list[tuple[int, int, bytes]] = []
        self._count = 0
        self._closed = False
        self._wake_out, self._wake_in = os.pipe()
        threading.Thread(target=self._run, name="datagrams", daemon=True).start()

    def tell(self, action: int, message: Message) -> None:
        """Send a message about an action, now and again; any thread. Too large a one only travels reliably."""
        contents = answers(action, message)
        now = time.monotonic_ns()
        with self._lock:
            if self._closed:
                return
            for content in contents:
                self._put(content)
                for later in _AGAIN_NS:
                    self._count += 1
                    heapq.heappush(self._again, (now + later, self._count, content))
            os.write(self._wake_in, b"\0")

    def close(self) -> None:
        """Let the thread end; it closes the socket."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.write(self._wake_in, b"\0")

    def _put(self, content: bytes) -> None:
        """Seal and send, under the lock; what the network does not take is lost like anything else on it."""
        if self._peer is not None and not self._closed:
            with contextlib.suppress(OSError, LocalWireError):
                self._socket.sendto(self._sealer.seal(content), self._peer)

    def _run(self) -> None:
        fds = (self._socket.fileno(), self._wake_out)
        try:
            while not self._closed:
                ready, _, _ = select.select(fds, (), (), self._wait_s())
                if self._wake_out in ready:
                    os.read(self._wake_out, 4096)
                if fds[0] in ready:
                    self._receive()
                self._do_what_is_due()
        except Exception:  # noqa: BLE001 - logged; the reliable session goes on without
            _log.exception("the datagram channel died")
        finally:
            with self._lock:
                self._closed = True
                self._socket.close()
                os.close(self._wake_out)
                os.close(self._wake_in)

    def _wait_s(self) -> float | None:
        with self._lock:
            again = self._again[0][0] if self._again else None
        dues = [due for due in (again, self._gatherings.due) if due is not None]
        return max(0.0, (min(dues) - time.monotonic_ns()) / 1e9) if dues else None

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, peer = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # an answer that could not be delivered is told here
            try:
                content = self._opener.open(data)
                self._peer = peer
                self._take(content)
            except RemoteWireError:
                self.ignored += 1

    def _take(self, content: bytes) -> None:
        kind = content[0] if content else -1
        if kind == HELLO:
            with self._lock:
                self._put(content)
        elif kind == PICTURE:
            fragment = unpack(content[1:])
            taken = self._gatherings.add(fragment, len(content), time.monotonic_ns())
            if taken.first:
                message = self._pictures.accepted(fragment.action)
                with self._lock:
                    for part in answers(fragment.action, message):
                        self._put(part)
            if taken.strips is not None:
                self._pictures.begin(taken.strips, fragment.segments)
            for one in taken.through:
                self._pictures.put(one, self.tell)

    def _do_what_is_due(self) -> None:
        now = time.monotonic_ns()
        for one in self._gatherings.late(now):
            self._pictures.put(one, self.tell)
        with self._lock:
            while self._again and self._again[0][0] <= now:
                self._put(heapq.heappop(self._again)[2])
