"""A picture in packets of which any may be lost: whole segments only, neighbours apart, everything needed in each.

Layout of a packet's content, big-endian (`testbed.wire.sealing` protects it on the way)::

    0   action    u32   the order that the picture belongs to
    4   number    u16   of this packet
    6   packets   u16   of the picture
    8   width     u16   |
    10  height    u16   |  shape, from which the picture's header is rebuilt
    12  quality   u8    |
    13  sampling  u8    |
    14  interval  u16   |
    16  order     u16   size of the order's own bytes, the same in every packet
    18  count     u8    segments here
    19  per segment: place u16, size u16; then the order; then the segments

Segments are dealt to packets like cards, so a burst of lost packets takes rows that lie apart. A segment is never cut:
one that does not fit a packet is refused, and the sender encodes with more restart markers.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.jpeg import Shape, join, lost_frac

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT_BYTES = 1200
"""Content of a packet: with headers and seal it fits the 1,280 bytes that every IPv6 network carries whole."""
MAX_PIXELS = 4096 * 4096
"""A larger picture is refused by the receiver."""

_HEAD = struct.Struct(">IHHHHBBHHB")
_SEGMENT = struct.Struct(">HH")
_MOST_SEGMENTS = 255


class Fragment(NamedTuple):
    """One packet's content."""

    action: int
    number: int
    packets: int
    shape: Shape
    order: bytes
    segments: dict[int, bytes]


def pack(
    action: int, shape: Shape, segments: Sequence[bytes], order: bytes = b"", limit: int = LIMIT_BYTES
) -> list[bytes]:
    """Contents of the packets that carry a picture.

    Args:
        order: what the receiver is to do, repeated in each packet. limit: size of a content [bytes].

    Raises:
        LocalWireError: a segment does not fit a packet, or the picture needs too many packets.
    """
    fixed = _HEAD.size + len(order)
    room = limit - fixed
    largest = max(len(segment) for segment in segments) + _SEGMENT.size
    if largest > room:
        raise LocalWireError(
            f"a segment of {largest} bytes does not fit a packet",
            cure="Encode with more restart markers, or send it reliably",
        )
    total = sum(len(segment) + _SEGMENT.size for segment in segments)
    hands = -(-total // room)
    while True:
        dealt = [list(range(hand, len(segments), hands)) for hand in range(hands)]
        sizes = [sum(len(segments[p]) + _SEGMENT.size for p in hand) for hand in dealt]
        if max(sizes) <= room and max(map(len, dealt)) <= _MOST_SEGMENTS:
            break
        hands += 1
    if hands > 0xFFFF or len(segments) > 0xFFFF:
        raise LocalWireError(f"a picture of {hands} packets is too large")
    return [
        _content(action, number, hands, shape, segments, order, hand) for number, hand in enumerate(dealt)
    ]


def _content(
    action: int,
    number: int,
    packets: int,
    shape: Shape,
    segments: Sequence[bytes],
    order: bytes,
    places: Sequence[int],
) -> bytes:
    head = _HEAD.pack(
        action,
        number,
        packets,
        shape.width,
        shape.height,
        shape.quality,
        shape.subsampling,
        shape.interval,
        len(order),
        len(places),
    )
    table = b"".join(_SEGMENT.pack(place, len(segments[place])) for place in places)
    return b"".join([head, table, order, *(segments[place] for place in places)])


def unpack(content: bytes) -> Fragment:
    """Read a packet's content.

    Raises:
        RemoteWireError: it is none.
    """
    try:
        action, number, packets, *shape, size, count = _HEAD.unpack_from(content)
        table = [_SEGMENT.unpack_from(content, _HEAD.size + i * _SEGMENT.size) for i in range(count)]
    except struct.error as error:
        raise RemoteWireError("a fragment is cut short") from error
    at = _HEAD.size + count * _SEGMENT.size
    order = content[at : at + size]
    at += size
    found = Shape(*shape)
    segments = {}
    for place, length in table:
        segments[place] = content[at : at + length]
        at += length
    if at != len(content):
        raise RemoteWireError("a fragment's sizes do not add up")
    if (
        number >= packets
        or not 1 <= found.quality <= 100
        or found.subsampling > 2
        or not found.interval
        or not 0 < found.width * found.height <= MAX_PIXELS
        or any(place >= found.segments for place in segments)
    ):
        raise RemoteWireError("a fragment says what cannot be")
    return Fragment(action, number, packets, found, order, segments)


class Gathering:
    """The fragments of one picture as they come in, in any order, some twice, some never.

    Attributes:
        first: the fragment that came first; what it says of shape and order is what counts.
    """

    def __init__(self, first: Fragment) -> None:
        """Begin with a fragment."""
        self.first = first
        self._numbers = {first.number}
        self._segments = dict(first.segments)

    @property
    def complete(self) -> bool:
        """Whether every packet is there."""
        return len(self._numbers) == self.first.packets

    @property
    def lost_frac(self) -> float:
        """Share of the picture that is not there."""
        return lost_frac(self.first.shape, self._segments)

    @property
    def packets(self) -> int:
        """How many packets are there."""
        return len(self._numbers)

    @property
    def segments(self) -> Mapping[int, bytes]:
        """What is there, by place."""
        return self._segments

    @property
    def missing(self) -> list[int]:
        """Places of the segments that are not there."""
        return [place for place in range(self.first.shape.segments) if place not in self._segments]

    def add(self, fragment: Fragment) -> bool:
        """Take another one; whether it was new.

        Raises:
            RemoteWireError: it is of another picture.
        """
        mine = self.first
        if (fragment.action, fragment.packets, fragment.shape, fragment.order) != (
            mine.action,
            mine.packets,
            mine.shape,
            mine.order,
        ):
            raise RemoteWireError("a fragment contradicts an earlier one of its picture")
        if fragment.number in self._numbers:
            return False
        self._numbers.add(fragment.number)
        self._segments.update(fragment.segments)
        return True

    def picture(self) -> bytes:
        """The JPEG with what is there."""
        return join(self.first.shape, self._segments)
