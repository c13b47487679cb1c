"""How pictures travel in packets: the lab file's ``lossy`` table, what it makes of an order, and encoded pictures."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from msgspec import Struct

from testbed.units import US
from testbed.wire.datagrams import LIMIT_BYTES, Order, check_action, encode_order
from testbed.wire.fragments import pack
from testbed.wire.picture import FILLS, encode
from testbed.wire.strips import DECODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drivers.session.ledger import Flight
    from testbed.units import Ns
    from testbed.wire.jpeg import Shape

    Picture: TypeAlias = tuple[Shape, list[bytes]]
    Key: TypeAlias = tuple[int, tuple[int, ...], int]

_KEPT_BYTES = 64 << 20
_SMALLEST_PACKET = 128


class LossyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``lossy`` table of a board over SSH: orders with lossy transport reach it as packets of a JPEG over UDP.

    Attributes:
        quality: of the JPEG, 1 to 100. units: minimum coded units (8 or 16 pixels square) in a segment, which is
            what gets lost as a whole; 0 for a row of them.
        packet_bytes: most that a packet carries; small ones only make sense for small pictures.
        wait_ms: how long the board waits for the rest of a picture, from its first packet on. gap_ms: for packets that
            the last one has overtaken.
        most_lost: share of a picture that may be missing; above it the board does not execute, and the order fails.
        fill: what stands in the place of what was lost. mean: values for the fill ``mean``, one for each channel.
        decode: ``whole`` when nothing more is awaited, or ``rows`` as they come, which leaves the board less to do
            after the last packet and takes it more in all.
        pace_mbit: packets leave at this rate, so that they do not overrun a queue on the way.
        silence_ms: and a round trip twice: an order of which the board says nothing for so long after its last packet
            has failed, everything lost.
        address: what the board's socket is bound to; empty for the address that its SSH session came to.
    """

    quality: int = 85
    units: int = 0
    packet_bytes: int = LIMIT_BYTES
    wait_ms: float = 30.0
    gap_ms: float = 3.0
    most_lost: float = 0.3
    fill: Literal["grey", "mean", "nearest", "linear"] = "grey"
    mean: tuple[int, ...] = ()
    decode: Literal["whole", "rows"] = "whole"
    pace_mbit: float = 100.0
    silence_ms: float = 150.0
    address: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: a value out of its range, or the fill ``mean`` without one.
        """
        if not 1 <= self.quality <= 100 or not 0 <= self.units <= 0xFFFF:
            raise ValueError("quality must be within 1 to 100, units within 0 to 65535")
        if not _SMALLEST_PACKET <= self.packet_bytes <= LIMIT_BYTES:
            raise ValueError(f"packet_bytes must be within {_SMALLEST_PACKET} to {LIMIT_BYTES}")
        if not 0.0 <= self.most_lost <= 1.0:
            raise ValueError("most_lost must be within [0, 1]")
        if not 0.0 < self.wait_ms <= 10_000.0 or not 0.0 <= self.gap_ms <= self.wait_ms:
            raise ValueError("wait_ms must be positive and at most 10000, gap_ms within 0 to wait_ms")
        if self.pace_mbit <= 0 or self.silence_ms <= 0:
            raise ValueError("pace_mbit and silence_ms must be positive")
        if any(not 0 <= value <= 255 for value in self.mean) or (self.fill == "mean" and not self.mean):
            raise ValueError("the fill mean needs mean: one value within 0 to 255 for each channel")


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
