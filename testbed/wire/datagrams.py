"""What a datagram says once it was opened: a byte of kind, then its content.

=========  ==========================================================  ==============================================
kind       from the host                                               from the board
=========  ==========================================================  ==============================================
HELLO      anything: is the way open?                                  the same again
PICTURE    a packet of a picture (`testbed.wire.fragments`), whose     -
           order is an `Order`
ANSWER     -                                                           ``action u32 | part u8 | parts u8 |`` part of a
                                                                       message (`testbed.wire.messages`)
=========  ==========================================================  ==============================================

An answer travels here and over the reliable session; whichever comes first counts. Takes and gives bytes.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.codec import Layout
from testbed.wire.messages import decode_message, encode_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.wire.messages import Message

HELLO, PICTURE, ANSWER = 0, 1, 2
LIMIT_BYTES = 1200
"""Of a content behind its kind: with seal and headers it fits the 1,280 bytes that every IPv6 network carries whole."""
MOST_PARTS = 32
_MOST_OPEN = 256

_HEAD = struct.Struct(">BIBB")
_ORDER = Layout("str u8 f64[] u64 u32[] u32 u32 u32 f64 u8 u8[] u8")


class Order(NamedTuple):
    """What to do with a picture; the same in each of its packets, so that nothing else has to arrive.

    Attributes:
        model, instance, thresholds, stop_after_ns: as in ``Infer``, of one item.
        shape: of the model's input without the batch: (c, h, w), (h, w, c) or (h, w); its elements are bytes.
        wait_us: from the first packet on, for the others. gap_us: once the last one is there, for any that it overtook.
        start_us: from the first packet on, the execution must have been queued; 0 for no such bound.
        most_lost: share of the picture that may be missing. fill: index into `testbed.wire.picture.FILLS`.
        mean: value for the fill ``mean``, one for each channel. decode: index into `testbed.wire.strips.DECODES`.
    """

    model: str
    instance: int
    thresholds: Sequence[float]
    stop_after_ns: int
    shape: Sequence[int]
    wait_us: int
    gap_us: int
    start_us: int
    most_lost: float
    fill: int
    mean: Sequence[int] = ()
    decode: int = 0


def encode_order(order: Order) -> bytes:
    """Its bytes.

    Raises:
        LocalWireError: a value does not fit its field.
    """
    out: list[bytes | bytearray | memoryview] = []
    _ORDER.write(out, order)
    return b"".join(out)


def decode_order(data: bytes) -> Order:
    """Read it back.

    Raises:
        RemoteWireError: it is none.
    """
    values, at = _ORDER.read(memoryview(data), 0)
    if at != len(data):
        raise RemoteWireError(f"an order has {len(data) - at} bytes too many")
    return Order(*values)


def answers(action: int, message: Message) -> list[bytes]:
    """Contents of the datagrams that carry a message; none where it is too large for that."""
    data = encode_message(message)
    room = LIMIT_BYTES - _HEAD.size
    parts = -(-len(data) // room)
    if parts > MOST_PARTS or action > 0xFFFFFFFF:
        return []
    return [
        _HEAD.pack(ANSWER, action, part, parts) + data[part * room : (part + 1) * room]
        for part in range(parts)
    ]


class Answers:
    """Puts messages together from parts that come in any order, some of them more than once."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._open: OrderedDict[tuple[int, int], dict[int, bytes]] = OrderedDict()

    def take(self, content: bytes) -> Message | None:
        """A message once it is whole.

        Raises:
            RemoteWireError: the content is no part of one.
        """
        try:
            _, action, part, parts = _HEAD.unpack_from(content)
        except struct.error as error:
            raise RemoteWireError("an answer is cut short") from error
        if not 0 <= part < parts <= MOST_PARTS:
            raise RemoteWireError("an answer says what cannot be")
        data = content[_HEAD.size :]
        if parts > 1:
            key = (action, parts)
            found = self._open.setdefault(key, {})
            found[part] = data
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
            if len(found) < parts:
                return None
            del self._open[key]
            data = b"".join(found[i] for i in range(parts))
        return decode_message(data)


def check_action(action: int) -> int:
    """A number that fits the packets' field.

    Raises:
        LocalWireError: so many actions were ordered that it does not.
    """
    if action > 0xFFFFFFFF:
        raise LocalWireError("the numbers of lossy orders are used up", cure="Connect anew")
    return action
