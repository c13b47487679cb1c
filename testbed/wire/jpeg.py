"""Baseline JPEG as independent segments: split at restart markers, put together again with some of them missing.

``SOI tables SOF0 DRI SOS | segment RST0 segment RST1 ... | EOI``. Between two restart markers nothing depends on what
came before, so a segment that arrived can be decoded whatever was lost. The header never travels: size, quality and
subsampling give it back, since the encoder keeps to the example tables. A missing segment gives way to one that says
mid-grey, and its marker stays: markers count modulo eight, and without it every later segment would be taken for
another place. (An empty segment would do for most decoders, but some read on into the next one.)

Takes and gives bytes, knows no pixels; runs on boards.

Source: ITU-T T.81 (1992): markers B.1.1.3, restart intervals E.1.4, example quantisation tables K.1, example Huffman
tables K.3; scaling of the quantisation tables by quality as in the Independent JPEG Group's ``jpeg_quality_scaling``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import LocalWireError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_APP0, _DQT, _SOF0, _DHT, _DRI, _SOS = 0xE0, 0xDB, 0xC0, 0xC4, 0xDD, 0xDA
_JFIF = bytes.fromhex("4a46494600010100000100010000")
_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d"
    "71797064785c656763"
)
_CHROMA = bytes.fromhex("1112121815182f1a1a2f634238426363") + b"\x63" * 48
_DC = (
    bytes.fromhex("00010501010101010100000000000000000102030405060708090a0b"),
    bytes.fromhex("00030101010101010101010000000000000102030405060708090a0b"),
)
_AC = (
    bytes.fromhex(
        "0002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f0243362728209"
        "0a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83848586"
        "8788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6"
        "e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
    bytes.fromhex(
        "00020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a16"
        "2434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a828384"
        "85868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5"
        "e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
)
GREY, FULL, HALF = 0, 1, 2
"""Subsampling: one component; three of the same size (4:4:4); colour halved both ways (4:2:0)."""


class Shape(NamedTuple):
    """What a header is made from.

    Attributes:
        width, height: [pixels]. quality: 1 to 100. subsampling: ``GREY``, ``FULL`` or ``HALF``.
        interval: minimum coded units (8 or 16 pixels square) in a segment.
    """

    width: int
    height: int
    quality: int
    subsampling: int
    interval: int

    @property
    def unit(self) -> int:
        """Pixels on a side of a minimum coded unit."""
        return 16 if self.subsampling == HALF else 8

    @property
    def units(self) -> tuple[int, int]:
        """Minimum coded units across and down."""
        return -(-self.width // self.unit), -(-self.height // self.unit)

    @property
    def segments(self) -> int:
        """How many segments the picture has."""
        across, down = self.units
        return -(-across * down // self.interval)


def split(data: bytes, quality: int) -> tuple[Shape, list[bytes]]:
    """Shape and segments of a picture.

    Args:
        quality: it was made with; the header that it gives must be the picture's own.

    Raises:
        LocalWireError: no baseline JPEG with restart markers and the example tables of that quality.
    """
    fields, start = _read_header(data)
    if _SOF0 not in fields or _DRI not in fields:
        raise LocalWireError("no baseline JPEG with restart intervals")
    frame = fields[_SOF0][0]
    _, height, width, components = struct.unpack_from(">BHHB", frame)
    sampling = frame[7] if components == 3 else 0
    subsampling = {0: GREY, 0x11: FULL, 0x22: HALF}.get(sampling, -1)
    (interval,) = struct.unpack(">H", fields[_DRI][0])
    shape = Shape(width, height, quality, subsampling, interval)
    if subsampling < 0 or interval == 0 or header(shape) != data[:start]:
        raise LocalWireError(
            "not made with the example tables of this quality, so its header cannot be rebuilt"
        )
    segments = _entropy_segments(data, start)
    if len(segments) != shape.segments:
        raise LocalWireError(f"has {len(segments)} segments instead of {shape.segments}")
    return shape, segments


def join(shape: Shape, segments: Mapping[int, bytes]) -> bytes:
    """The picture with what is there; a segment that is not is mid-grey.

    Raises:
        LocalWireError: a segment is none of this picture's.
    """
    if any(not 0 <= place < shape.segments for place in segments):
        raise LocalWireError("a segment is none of this picture's")
    parts = [header(shape)]
    for place in range(shape.segments):
        if place:
            parts.append(bytes((0xFF, 0xD0 + (place - 1) % 8)))
        parts.append(segments[place] if place in segments else _grey(shape, place))
    parts.append(_EOI)
    return b"".join(parts)


def header(shape: Shape) -> bytes:
    """Everything before the first segment."""
    colour = shape.subsampling != GREY
    tables = [_scaled(_LUMA, shape.quality)] + ([_scaled(_CHROMA, shape.quality)] if colour else [])
    parts = [_SOI, _field(_APP0, _JFIF)]
    parts += [_field(_DQT, bytes((i,)) + table) for i, table in enumerate(tables)]
    first = 0x22 if shape.subsampling == HALF else 0x11
    planes = [(1, first, 0), (2, 0x11, 1), (3, 0x11, 1)] if colour else [(1, 0x11, 0)]
    frame = struct.pack(">BHHB", 8, shape.height, shape.width, len(planes))
    parts.append(_field(_SOF0, frame + b"".join(map(bytes, planes))))
    for i in range(len(tables)):
        parts.append(_field(_DHT, bytes((i,)) + _DC[i]))
        parts.append(_field(_DHT, bytes((0x10 + i,)) + _AC[i]))
    parts.append(_field(_DRI, struct.pack(">H", shape.interval)))
    scan = b"".join(bytes((number, 0x11 * table)) for number, _, table in planes)
    parts.append(_field(_SOS, bytes((len(planes),)) + scan + b"\x00\x3f\x00"))
    return b"".join(parts)


def alone(shape: Shape, units: int) -> bytes:
    """Everything before a segment that is a picture of its own: so many units side by side."""
    return header(shape._replace(width=units * shape.unit, height=shape.unit, interval=units))


def lost_frac(shape: Shape, there: Iterable[int]) -> float:
    """Share of the picture's units that lie in segments which are not there."""
    across, down = shape.units
    total = across * down
    have = sum(min(shape.interval, total - place * shape.interval) for place in set(there))
    return 1.0 - have / total


def _grey(shape: Shape, place: int) -> bytes:
    """A segment in which every block has no difference to a mean of 128 and no detail, by the example tables."""
    luma, chroma = "001010", "0000"  # no difference, end of block
    unit = {GREY: luma, FULL: luma + 2 * chroma, HALF: 4 * luma + 2 * chroma}[shape.subsampling]
    across, down = shape.units
    bits = unit * min(shape.interval, across * down - place * shape.interval)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _scaled(table: bytes, quality: int) -> bytes:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return bytes(min(max((entry * scale + 50) // 100, 1), 255) for entry in table)


def _field(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _read_header(data: bytes) -> tuple[dict[int, list[bytes]], int]:
    """Fields by marker, and where the entropy-coded data begins."""
    fields: dict[int, list[bytes]] = {}
    at = 2
    if data[:2] != _SOI:
        raise LocalWireError("no JPEG")
    while at + 4 <= len(data):
        lead, marker, size = struct.unpack_from(">BBH", data, at)
        if lead != 0xFF:
            break
        fields.setdefault(marker, []).append(data[at + 4 : at + 2 + size])
        at += 2 + size
        if marker == _SOS:
            return fields, at
    raise LocalWireError("its header does not end")


def _entropy_segments(data: bytes, start: int) -> list[bytes]:
    """What lies between restart markers; within a segment 0xFF is followed by 0x00."""
    segments = []
    begin = at = start
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise LocalWireError("its data does not end")
        marker = data[at + 1]
        if marker == 0x00:
            at += 2
        elif 0xD0 <= marker <= 0xD7:
            segments.append(data[begin:at])
            begin = at = at + 2
        elif marker == 0xD9:
            segments.append(data[begin:at])
            return segments
        else:
            raise LocalWireError(f"a marker 0x{marker:02x} inside its data")
