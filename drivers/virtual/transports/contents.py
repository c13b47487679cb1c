"""What the two ends say to each other, once it was opened: a byte of kind, then its content.

PICTURE (a packet of a picture, `testbed.wire.fragments`; over the stream one packet carries all of it) and CODED
(`drivers.virtual.transports.coding`) go up, ANSWER comes down: ``number u32 | state u8 | share lost f64``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import RemoteWireError
from testbed.wire.datagrams import Order, encode_order
from testbed.wire.fragments import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.virtual.transports.options import CarrierOptions
    from testbed.wire.jpeg import Shape

PICTURE, CODED, ANSWER, HELLO = 1, 2, 3, 4
DONE, AGAIN = 0, 1
WHOLE_BYTES = 1 << 22
_ANSWER = struct.Struct(">BIBd")


class Answer(NamedTuple):
    """About one picture: ``DONE``, or ``AGAIN`` where too little of it arrived."""

    number: int
    state: int
    lost_frac: float


def encode_answer(answer: Answer) -> bytes:
    """Its content."""
    return _ANSWER.pack(ANSWER, *answer)


def decode_answer(content: bytes) -> Answer:
    """Read it back.

    Raises:
        RemoteWireError: it is none.
    """
    try:
        kind, *fields = _ANSWER.unpack(content)
    except struct.error as error:
        raise RemoteWireError("an answer is cut short") from error
    if kind != ANSWER:
        raise RemoteWireError("no answer")
    return Answer(*fields)


def order_of(shape: Shape, options: CarrierOptions) -> bytes:
    """The order that each packet repeats, as a board gets it; its model does not matter here."""
    channels = () if shape.subsampling == 0 else (3,)
    order = Order(
        model="picture",
        instance=0,
        thresholds=(),
        stop_after_ns=0,
        shape=(shape.height, shape.width, *channels),
        wait_us=round(options.wait_ms * 1e3),
        gap_us=round(options.gap_ms * 1e3),
        start_us=0,
        most_lost=options.most_lost,
        fill=options.fill_index,
    )
    return encode_order(order)


def whole(number: int, shape: Shape, segments: Sequence[bytes], options: CarrierOptions) -> bytes:
    """A picture in one piece, for the stream and for coding.

    Raises:
        LocalWireError: it has too many segments.
    """
    (content,) = pack(number, shape, segments, order_of(shape, options), WHOLE_BYTES)
    return content
