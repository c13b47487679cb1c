"""What waits to be sent, and in which order it leaves.

Control messages leave first, in order, each in one frame. Bulk messages have a lane for each type: first
in, first out within a lane, and the lanes take turns chunk by chunk. Numbers are given out as messages
begin to leave.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from testbed.wire import messages as m
from testbed.wire.frames import FLAG_LAST, FLAG_START, encode_short, frame_parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Outgoing: TypeAlias = tuple[bytes, int, int]  # its bytes and, once begun, its number and next chunk

    from testbed.wire.frames import Buffer

SHORT = frozenset((m.Probe, m.ProbeReply))
"""They travel in short frames, without a number: one that comes twice is told by its own sequence number."""
BULK = frozenset((m.PutBlob, m.Infer, m.Done, m.Failed, m.PowerSamples, m.Log))


class Outbox:
    """The queues of one end of a session.

    Attributes:
        pending_bytes: bytes of messages not yet framed, without those made late.
    """

    def __init__(self, chunk_bytes: int, flags: int) -> None:
        """Cut at ``chunk_bytes`` and put ``flags`` on every frame."""
        self.pending_bytes = 0
        self._chunk = chunk_bytes
        self._flags = flags
        self._control: deque[tuple[type, bytes] | Callable[[], m.Message]] = deque()
        self._bulk: OrderedDict[type, deque[_Outgoing]] = OrderedDict()
        self._number = 0
        self._tag = 0

    def begin(self, tag: int) -> None:
        """Drop what waits and count from zero under a new tag."""
        self._control.clear()
        self._bulk.clear()
        self.pending_bytes = 0
        self._number = 0
        self._tag = tag

    def put(self, kind: type, data: bytes) -> None:
        """Queue an encoded message."""
        if kind in BULK or len(data) > self._chunk:
            lane = self._bulk.get(kind)
            if lane is None:
                self._bulk[kind] = deque(((data, -1, 0),))
            else:
                lane.append((data, -1, 0))
        else:
            self._control.append((kind, data))
        self.pending_bytes += len(data)

    def put_late(self, make: Callable[[], m.Message]) -> None:
        """Queue a control message to be built as it leaves."""
        self._control.append(make)

    def __bool__(self) -> bool:
        return bool(self._control or self._bulk)

    def next_frame(self) -> tuple[Buffer, ...]:
        """The frame that leaves next in pieces, to be joined with its neighbours in one go; none if none waits.

        Raises:
            LocalWireError: a message made late does not fit its fields.
        """
        # Nothing may precede a Welcome, not even where it is too large for one chunk.
        if self._control and m.Welcome not in self._bulk:
            entry = self._control.popleft()
            if isinstance(entry, tuple):
                kind, data = entry
                self.pending_bytes -= len(data)
            else:
                message = entry()
                kind, data = type(message), m.encode_message(message)
            if kind in SHORT:
                return (encode_short(data, flags=self._flags, tag=self._tag),)
            return self._frame(
                data, FLAG_LAST | (FLAG_START if kind is m.Hello else 0), self._take_number(), 0
            )
        if not self._bulk:
            return ()
        kind = m.Welcome if m.Welcome in self._bulk else next(iter(self._bulk))
        lane = self._bulk[kind]
        data, number, chunk = lane[0]
        if chunk == 0:
            number = self._take_number()
            if len(data) <= self._chunk and len(lane) == 1:  # as most do, it leaves whole and nothing follows
                del self._bulk[kind]
                self.pending_bytes -= len(data)
                return self._frame(data, FLAG_LAST, number, 0)
        start = chunk * self._chunk
        part = memoryview(data)[start : start + self._chunk]
        last = start + len(part) == len(data)
        self.pending_bytes -= len(part)
        if last:
            lane.popleft()
        else:
            lane[0] = (data, number, chunk + 1)
        if lane:
            self._bulk.move_to_end(kind)
        else:
            del self._bulk[kind]
        return self._frame(part, FLAG_LAST if last else 0, number, chunk)

    def _take_number(self) -> int:
        number = self._number
        self._number = (number + 1) & 0xFFFFFFFF
        return number

    def _frame(self, payload: Buffer, flags: int, number: int, chunk: int) -> tuple[Buffer, ...]:
        return frame_parts(payload, flags=flags | self._flags, tag=self._tag, message=number, chunk=chunk)
