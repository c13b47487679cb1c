"""Datagrams that nobody on the way can read, change or send again; there is no way without this.

A datagram is ``counter u64 | sealed content``. The counter is the nonce together with the direction, so no nonce is
used twice under a key; a key lives as long as one connection over the reliable link, over which it was agreed. A
receiver remembers which of the last 1,024 counters it has seen, and refuses older ones.

The cipher itself is not in the standard library and so is handed in: AES-256-GCM or ChaCha20-Poly1305 of the package
``cryptography``, whose ``encrypt`` and ``decrypt`` have this shape.

Source: datagrams under a key agreed over SSH are mosh's idea (Winstein, Balakrishnan, USENIX ATC 2012); window after
RFC 4303 section 3.4.3.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from testbed.errors import LocalWireError, RemoteWireError

if TYPE_CHECKING:
    from typing import Protocol

    class Cipher(Protocol):
        """Authenticated encryption under one key."""

        def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
            """Seal data."""

        def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
            """Open what was sealed; raises whatever the library raises for anything else."""


KEY_BYTES = 32
OVERHEAD_BYTES = 8 + 16
"""Counter and tag."""
WINDOW = 1024
TO_BOARD, TO_HOST = 0, 1

_COUNTER = struct.Struct(">Q")
_NONCE = struct.Struct(">IQ")


class Sealer:
    """Seals in one direction."""

    def __init__(self, cipher: Cipher, direction: int) -> None:
        """Begin at counter 0; one sealer for each key and direction, ever."""
        self._cipher = cipher
        self._direction = direction
        self._next = 0

    def seal(self, content: bytes) -> bytes:
        """The datagram.

        Raises:
            LocalWireError: the counter is used up.
        """
        if self._next >= 1 << 63:
            raise LocalWireError("the key was used too often", cure="Connect anew")
        counter = _COUNTER.pack(self._next)
        nonce = _NONCE.pack(self._direction, self._next)
        self._next += 1
        return counter + self._cipher.encrypt(nonce, content, counter)


class Opener:
    """Opens what comes from one direction, each datagram once.

    Attributes:
        refused: datagrams that were forged, damaged, replayed or too old.
    """

    def __init__(self, cipher: Cipher, direction: int) -> None:
        """Nothing was seen yet."""
        self._cipher = cipher
        self._direction = direction
        self._newest = -1
        self._seen = 0
        self.refused = 0

    def open(self, datagram: bytes) -> bytes:
        """The content.

        Raises:
            RemoteWireError: it is not genuine, or not fresh.
        """
        if len(datagram) < OVERHEAD_BYTES:
            self.refused += 1
            raise RemoteWireError("a datagram is too short")
        (counter,) = _COUNTER.unpack_from(datagram)
        behind = self._newest - counter
        if behind >= WINDOW or (behind >= 0 and self._seen >> behind & 1):
            self.refused += 1
            raise RemoteWireError("a datagram was sent again, or is too old")
        try:
            content = self._cipher.decrypt(_NONCE.pack(self._direction, counter), datagram[8:], datagram[:8])
        except Exception as error:
            self.refused += 1
            raise RemoteWireError("a datagram is not genuine") from error
        # Only what is genuine may move the window.
        if behind < 0:
            self._seen = (self._seen << -behind | 1) & ((1 << WINDOW) - 1) if -behind < WINDOW else 1
            self._newest = counter
        else:
            self._seen |= 1 << behind
        return content
