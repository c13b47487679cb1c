"""The event log of an attempt: everything that happened to the core and what it decided, for replay.

Length-prefixed MessagePack; JSON would not do: thresholds and rates may be infinite.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from testbed.store.durable import write_all

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.store.schema import Logged

AT_ONCE = 64
"""Entries encoded together; a crash may take the last ones."""

_NO_LENGTH = bytes(4)


class EventLog:
    """Its one writer."""

    def __init__(self, path: Path) -> None:
        """Create the file."""
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._waiting: list[Logged] = []
        self._encoder = msgspec.msgpack.Encoder()

    def write(self, entry: Logged) -> None:
        """Append one event or decision; encoded together with others, when there are enough of them."""
        self._waiting.append(entry)
        if len(self._waiting) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the kernel.

        Raises:
            StoreError: the disk is full or gone.
        """
        waiting, self._waiting = self._waiting, []
        if waiting:
            block = bytearray()
            for entry in waiting:
                at = len(block)
                block += _NO_LENGTH
                self._encoder.encode_into(entry, block, -1)
                block[at : at + 4] = (len(block) - at - 4).to_bytes(4, "little")
            write_all(self._fd, block, self.path)

    def close(self) -> None:
        """Flush and let go; idempotent."""
        if self._fd >= 0:
            try:
                self.flush()
            finally:
                os.close(self._fd)
                self._fd = -1
