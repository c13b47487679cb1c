"""Frames: the smallest unit on the line, each with a checked header and a checked body.

Layout, little-endian, 15 bytes of header and 4 of trailer::

    0   magic    0xA5 0x5A
    2   length   u16   bytes of payload, 1..65535
    4   flags    u8    see FLAG_* below; unknown bits make the header invalid
    5   tag      u16   low bits of the session number: frames of another session are told apart
    7   message  u32   number of the message this frame carries a part of
    11  chunk    u16   index of the part
    13  check    u16   CRC-16/CCITT of bytes 2..12
    15  payload
    ..  crc      u32   CRC-32 of bytes 2.. up to here

A *short* frame is a whole message of at most 15 bytes, for clock probes: on a serial line every byte counts
against them. 5 bytes before the payload and 4 behind it::

    0   magic    0xA5 0xC3
    2   length   u8    bytes of payload, 1..15; 0x80 added where the agent sends
    3   tag      u16   as above
    5   payload
    ..  crc      u32   CRC-32 of bytes 2.. up to here

The header has a check of its own, so a damaged length is not believed and swallows nothing. A frame whose
body is damaged gives up only its magic: the bytes behind are scanned again, so good frames inside a false
one are found.

What cannot be had without byte stuffing: a payload that quotes a whole frame of this very session can
surface when the frame around it is damaged. Tag and direction make that an accident of 1 in 2^16 for
recorded traffic.

Sources: CRC-16 polynomial 0x1021 as ``binascii.crc_hqx``; CRC-32 (IEEE 802.3) as ``zlib.crc32``.
"""

from __future__ import annotations

import binascii
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import LocalWireError

if TYPE_CHECKING:
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview

MAGIC = b"\xa5\x5a"
FLAG_LAST = 0x01  # the final chunk of its message
FLAG_START = 0x02  # opens a session: accepted whatever the tag
FLAG_FROM_AGENT = 0x80  # direction, so that a line that echoes is noticed
_KNOWN_FLAGS = FLAG_LAST | FLAG_START | FLAG_FROM_AGENT
FLAG_SHORT = 0x100  # came in a short frame; never in a header

SHORT_MAGIC = b"\xa5\xc3"
_SHORT = struct.Struct("<2sBH")
_HEADER = struct.Struct("<2sHBHIHH")
_HEAD_FIELDS = struct.Struct("<HBHIH")  # the checked part of the header, without magic and check
_CHECK = struct.Struct("<H")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size
OVERHEAD_BYTES = _HEADER.size + _CRC.size
MAX_PAYLOAD_BYTES = 0xFFFF
SHORT_OVERHEAD_BYTES = _SHORT.size + _CRC.size
MAX_SHORT_BYTES = 15
_FEW = 4


class Frame(NamedTuple):
    """One frame that arrived intact."""

    flags: int
    tag: int
    message: int
    chunk: int
    payload: bytes


def encode_frame(
    payload: Buffer, *, flags: int = FLAG_LAST, tag: int = 0, message: int = 0, chunk: int = 0
) -> bytes:
    """The bytes of one frame.

    Args:
        payload: 1 to 65535 bytes.
        flags: OR of the ``FLAG_*`` constants.
        tag: u16, session the frame belongs to.
        message: u32, number of the message.
        chunk: u16, index of this part within the message.

    Raises:
        LocalWireError: a field is out of range.
    """
    return b"".join(frame_parts(payload, flags=flags, tag=tag, message=message, chunk=chunk))


def frame_parts(
    payload: Buffer, *, flags: int = 0, tag: int = 0, message: int = 0, chunk: int = 0
) -> tuple[Buffer, ...]:
    """As `encode_frame`, in pieces of which the payload is not copied.

    Raises:
        LocalWireError: a field is out of range.
    """
    length = len(payload)
    if not 0 < length <= MAX_PAYLOAD_BYTES or flags & ~_KNOWN_FLAGS:
        limits = f"1 to {MAX_PAYLOAD_BYTES} bytes and known flags"
        raise LocalWireError(f"a frame carries {limits}, not {length} bytes, {flags:#x}")
    try:
        fields = _HEAD_FIELDS.pack(length, flags, tag, message, chunk)
    except struct.error as error:
        raise LocalWireError(f"out of range: tag {tag}, message {message} or chunk {chunk}") from error
    head = fields + _CHECK.pack(binascii.crc_hqx(fields, 0xFFFF))
    crc = zlib.crc32(payload, zlib.crc32(head))
    return (MAGIC, head, payload, _CRC.pack(crc))


def encode_short(payload: Buffer, *, flags: int = 0, tag: int = 0) -> bytes:
    """The bytes of a short frame.

    Args:
        payload: 1 to 15 bytes, a whole message.
        flags: only ``FLAG_FROM_AGENT`` is told.
        tag: u16, session the frame belongs to.

    Raises:
        LocalWireError: the payload is of another length.
    """
    length = len(payload)
    if not 0 < length <= MAX_SHORT_BYTES:
        raise LocalWireError(f"a short frame carries 1 to {MAX_SHORT_BYTES} bytes, not {length}")
    head = _SHORT.pack(SHORT_MAGIC, length | flags & FLAG_FROM_AGENT, tag)
    return b"".join((head, payload, _CRC.pack(zlib.crc32(payload, zlib.crc32(head[2:])))))


class FrameDecoder:
    """Turns any split of the bytes back into frames; holds at most one frame's worth of them.

    Attributes:
        discarded_bytes: bytes that belonged to no intact frame.
        header_failures: magics whose header check, flags or length were wrong.
        crc_failures: frames whose header was good and whose body was not.
    """

    def __init__(self, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        """Believe no header that announces more than ``max_payload_bytes``."""
        self.discarded_bytes = 0
        self.header_failures = 0
        self.crc_failures = 0
        self._max_payload = max_payload_bytes
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes held while waiting for the rest of a frame."""
        return len(self._buffer)

    def feed(self, data: Buffer) -> list[Frame]:
        """Append bytes as they came; give the frames they complete."""
        buffer = self._buffer
        if buffer and len(data) * _FEW >= len(buffer):  # so little lies here that it may be copied once more
            data = b"".join((buffer, data))
            buffer.clear()
        if buffer or not isinstance(data, bytes):
            frames: list[Frame] = []
            buffer += data
        else:
            frames, used = self._intact(data)
            if used == len(data):
                return frames
            buffer += memoryview(data)[used:]
        more, used = self._scan(0)
        del buffer[:used]
        return frames + more if frames else more

    def _intact(self, data: bytes) -> tuple[list[Frame], int]:
        """The ordinary whole frames that ``data`` begins with, as it does on a good line, without a copy of it all."""
        end, position = len(data), 0
        frames: list[Frame] = []
        view = memoryview(data)
        while end - position >= OVERHEAD_BYTES:
            magic, length, flags, tag, message, chunk, check = _HEADER.unpack_from(data, position)
            body = position + HEADER_BYTES
            stop = body + length
            if (
                magic != MAGIC
                or end < stop + _CRC.size
                or not 0 < length <= self._max_payload
                or flags & ~_KNOWN_FLAGS
                or binascii.crc_hqx(data[position + 2 : body - 2], 0xFFFF) != check
                or zlib.crc32(view[position + 2 : stop]) != _CRC.unpack_from(data, stop)[0]
            ):
                break  # whatever it is, the careful way finds out
            frames.append(Frame(flags, tag, message, chunk, data[body:stop]))
            position = stop + _CRC.size
        return frames, position

    def resync(self) -> list[Frame]:
        """The line went quiet in the middle of a frame: look for whole frames behind the unfinished one.

        A truncated frame would otherwise hold back what follows until enough bytes came. Where nothing whole
        follows, the unfinished frame may only be slow and is kept, so calling this early loses nothing.
        """
        if len(self._buffer) <= HEADER_BYTES:
            return []
        counts = (self.discarded_bytes, self.header_failures, self.crc_failures)
        frames, used = self._scan(1)
        if not frames:
            self.discarded_bytes, self.header_failures, self.crc_failures = counts
            return []
        self.discarded_bytes += 1
        del self._buffer[:used]
        return frames

    def _scan(self, position: int) -> tuple[list[Frame], int]:
        """Frames from ``position`` on, and how many bytes of the buffer are done with."""
        buffer = self._buffer
        end = len(buffer)
        frames: list[Frame] = []
        with memoryview(buffer) as view:
            while True:
                start = buffer.find(MAGIC[0], position)
                if start < 0:
                    self.discarded_bytes += end - position
                    return frames, end
                self.discarded_bytes += start - position
                position = start
                if end - start < 2:
                    return frames, start
                second = buffer[start + 1]
                if second == MAGIC[1]:
                    frame, position = self._whole(view, start)
                elif second == SHORT_MAGIC[1]:
                    frame, position = self._short(view, start)
                else:
                    frame, position = None, start + 1
                    self.discarded_bytes += 1
                if frame is not None:
                    frames.append(frame)
                elif position == start:
                    return frames, start

    def _whole(self, view: memoryview, start: int) -> tuple[Frame | None, int]:
        """The ordinary frame whose magic is at ``start``, and where to go on: there, as long as bytes are missing."""
        end = len(view)
        if end - start < HEADER_BYTES:
            return None, start
        _, length, flags, tag, message, chunk, check = _HEADER.unpack_from(view, start)
        with view[start + 2 : start + HEADER_BYTES - 2] as fields:
            good = binascii.crc_hqx(fields, 0xFFFF) == check
        if not good or flags & ~_KNOWN_FLAGS or not 0 < length <= self._max_payload:
            self.header_failures += 1
            self.discarded_bytes += 1
            return None, start + 1
        stop = start + HEADER_BYTES + length
        if end < stop + _CRC.size:
            return None, start
        if not self._checked(view, start, stop):
            return None, start + 1
        frame = Frame(flags, tag, message, chunk, bytes(view[start + HEADER_BYTES : stop]))
        return frame, stop + _CRC.size

    def _short(self, view: memoryview, start: int) -> tuple[Frame | None, int]:
        """As `_whole`, of a short frame; a false one holds back 24 bytes at most, so its header has no check."""
        if len(view) - start < _SHORT.size:
            return None, start
        _, told, tag = _SHORT.unpack_from(view, start)
        length = told & ~FLAG_FROM_AGENT
        if not 0 < length <= MAX_SHORT_BYTES:
            self.header_failures += 1
            self.discarded_bytes += 1
            return None, start + 1
        stop = start + _SHORT.size + length
        if len(view) < stop + _CRC.size:
            return None, start
        if not self._checked(view, start, stop):
            return None, start + 1
        flags = FLAG_SHORT | FLAG_LAST | told & FLAG_FROM_AGENT
        return Frame(flags, tag, 0, 0, bytes(view[start + _SHORT.size : stop])), stop + _CRC.size

    def _checked(self, view: memoryview, start: int, stop: int) -> bool:
        with view[start + 2 : stop] as body:
            good = zlib.crc32(body) == _CRC.unpack_from(view, stop)[0]
        if not good:
            self.crc_failures += 1
            self.discarded_bytes += 1
        return bool(good)
