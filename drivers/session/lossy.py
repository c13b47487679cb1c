"""How pictures travel in packets: what a board's ``lossy`` table makes of an order, and encoded pictures."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from testbed.units import US
from testbed.wire.datagrams import Order, check_action, encode_order
from testbed.wire.fragments import pack
from testbed.wire.picture import FILLS, encode
from testbed.wire.strips import DECODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drivers.session.ledger import Flight
    from testbed.model.datagrams import LossyOptions
    from testbed.units import Ns
    from testbed.wire.jpeg import Shape

    Picture: TypeAlias = tuple[Shape, list[bytes]]
    Key: TypeAlias = tuple[int, tuple[int, ...], int]

_KEPT_BYTES = 64 << 20


def packets_of(flight: Flight, picture: Picture, options: LossyOptions, now: Ns) -> list[bytes]:
    """What goes into the packets of an order, one item.

    Raises:
        LocalWireError: a segment does not fit a packet; the cure says what to change.
    """
    order, item = flight.order, flight.order.batch[0]
    latest = order.latest
    shape, segments = picture
    told = Order(
        model=order.model,
        instance=order.instance,
        thresholds=item.exit.min_confidence,
        stop_after_ns=0 if item.exit.stop_after is None else max(item.exit.stop_after, 1),
        shape=flight.payload.shape[1:],
        wait_us=round(options.wait_ms * 1e3),
        gap_us=round(options.gap_ms * 1e3),
        start_us=0 if latest is None else min(max((latest - now) // US, 1), 0xFFFFFFFF),
        most_lost=options.most_lost,
        fill=FILLS.index(options.fill),
        mean=options.mean,
        decode=DECODES.index(options.decode),
    )
    number = check_action(flight.number)
    return pack(number, shape, segments, encode_order(told), options.packet_bytes)


class Encoder:
    """Encodes, and keeps what it encoded: inputs of an experiment come again and again.

    A picture costs 0.2 ms (28 pixels, grey) to some milliseconds, so it is for a thread; a kept one only a checksum.
    """

    def __init__(self, options: LossyOptions) -> None:
        """Nothing is kept."""
        self._options = options
        self._kept: OrderedDict[Key, Picture] = OrderedDict()
        self._bytes = 0

    def key_of(self, flight: Flight) -> Key:
        """What it is kept under."""
        sample = flight.samples[0] if flight.samples else -1
        return sample, flight.payload.shape, zlib.crc32(np.ascontiguousarray(flight.payload).data)

    def find(self, key: Key) -> Picture | None:
        """What is kept."""
        return self._kept.get(key)

    def encode(self, pixels: NDArray[np.uint8]) -> Picture:
        """Encode one input; any thread.

        Raises:
            LocalWireError: it is no picture. ImportError: Pillow is not installed.
        """
        return encode(pixels, quality=self._options.quality, interval=self._options.units)

    def keep(self, key: Key, picture: Picture) -> None:
        """Keep it, and drop the oldest for it."""
        if key not in self._kept:
            self._kept[key] = picture
            self._bytes += sum(map(len, picture[1]))
            while self._bytes > _KEPT_BYTES:
                _, (_, old) = self._kept.popitem(last=False)
                self._bytes -= sum(map(len, old))
