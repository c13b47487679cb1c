"""Puts chunks back together, drops what lost a piece, and forgets what would take too much memory.

The chunks of a message arrive in order or not at all, since a link keeps the order of its bytes. So a chunk
that is not the next one is either a repetition (ignored) or proof of a loss (the message is given up).
"""

from __future__ import annotations

from collections import OrderedDict, deque

from testbed.errors import RemoteWireError

_REMEMBERED = 1024  # finished or lost messages whose late repetitions are recognised
_MAX_PARTIAL = 32


class _Partial:
    """The chunks of one unfinished message."""

    __slots__ = ("chunks", "size")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0


class Reassembly:
    """The unfinished messages of one session, at most 32 and twice the largest message in bytes.

    Attributes:
        repeated: chunks ignored because they had been there before.
        lost: messages given up because a chunk was missing or they were evicted as the oldest.
        held_bytes: bytes of unfinished messages.
    """

    def __init__(self, max_message_bytes: int) -> None:
        """Take messages up to ``max_message_bytes``."""
        self.repeated = 0
        self.lost = 0
        self.held_bytes = 0
        self._max_message = max_message_bytes
        self._partial: OrderedDict[int, _Partial] = OrderedDict()
        self.clear()

    def clear(self) -> None:
        """Begin a new session; the counts go on."""
        self._partial.clear()
        self.held_bytes = 0
        self._settled: set[int] = set()
        self._settled_order: deque[int] = deque()
        self._highest = -1

    def add(self, number: int, chunk: int, last: bool, payload: bytes) -> bytes | None:
        """Take one chunk; give the message if it is complete.

        Raises:
            RemoteWireError: the message is larger than allowed.
        """
        partial = self._partial.get(number)
        if partial is None:
            if number in self._settled or number <= self._highest - _REMEMBERED:
                self.repeated += 1
                return None
            if number > self._highest:
                self._highest = number
            if chunk:
                self._lose(number)
                return None
            if last:
                if len(payload) > self._max_message:
                    self._check(len(payload))
                self._settle(number)
                return payload
            partial = self._partial[number] = _Partial()
        elif chunk < len(partial.chunks):
            self.repeated += 1
            return None
        elif chunk > len(partial.chunks):
            self._drop(number)
            self._lose(number)
            return None
        try:
            self._check(partial.size + len(payload))
        except RemoteWireError:
            self._drop(number)
            self._settle(number)
            raise
        partial.chunks.append(payload)
        partial.size += len(payload)
        self.held_bytes += len(payload)
        if last:
            self._drop(number)
            self._settle(number)
            return b"".join(partial.chunks)
        while len(self._partial) > _MAX_PARTIAL or self.held_bytes > 2 * self._max_message:
            oldest = next(iter(self._partial))
            self._drop(oldest)
            self._lose(oldest)
        return None

    def _check(self, size: int) -> None:
        if size > self._max_message:
            raise RemoteWireError(f"message of {size} bytes or more; the limit is {self._max_message}")

    def _drop(self, number: int) -> None:
        self.held_bytes -= self._partial.pop(number).size

    def _lose(self, number: int) -> None:
        self.lost += 1
        self._settle(number)

    def _settle(self, number: int) -> None:
        self._settled.add(number)
        self._settled_order.append(number)
        if len(self._settled_order) > _REMEMBERED:
            self._settled.discard(self._settled_order.popleft())
