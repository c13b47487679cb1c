"""Pictures as they come out of a lossy way: packed, robbed of packets, put together, decoded, concealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.campaign.loss.channel import struck
from testbed.campaign.loss.spec import BURSTS
from testbed.wire.fragments import pack, unpack
from testbed.wire.jpeg import Shape
from testbed.wire.jpeg import lost_frac as share_of
from testbed.wire.picture import FILLS, conceal, encode, lost, restore
from testbed.wire.strips import Strips

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from testbed.campaign.loss.spec import LossStudy, Packets


class Sent(Struct, frozen=True):
    """A picture on its way.

    Attributes:
        segments: of its JPEG. packets: places of the segments that each carries. sizes: of their contents [bytes].
    """

    shape: Shape
    segments: list[bytes]
    packets: list[tuple[int, ...]]
    sizes: list[int]

    @property
    def sent_bytes(self) -> int:
        """Contents of all packets."""
        return sum(self.sizes)

    def without(self, gone: Iterable[int]) -> dict[int, bytes]:
        """Segments that arrive when packets of these numbers do not."""
        missing = {place for number in gone for place in self.packets[number]}
        return {place: data for place, data in enumerate(self.segments) if place not in missing}

    def share(self, gone: Iterable[int]) -> float:
        """How much of the picture those packets take away."""
        return share_of(self.shape, self.without(gone))


def send(picture: NDArray[np.uint8], packets: Packets) -> Sent:
    """Encode and pack a picture.

    Raises:
        LocalWireError: it is none, or a segment does not fit a packet.
    """
    shape, segments = encode(picture, quality=packets.quality, interval=packets.units)
    contents = pack(0, shape, segments, bytes(packets.order_bytes), packets.limit_bytes)
    places = [tuple(unpack(content).segments) for content in contents]
    return Sent(shape, segments, places, [len(content) for content in contents])


def whole(sent: Sent) -> NDArray[np.uint8]:
    """The picture when nothing is lost."""
    return np.asarray(restore(sent.shape, dict(enumerate(sent.segments)), 0))


def arrived(
    sent: Sent, gone: Sequence[int], fills: Sequence[str], mean: Sequence[int], *, by_rows: bool = False
) -> dict[str, NDArray[np.uint8]]:
    """The picture without some packets, decoded once, whole or by rows, and concealed in several ways."""
    there = sent.without(gone)
    if by_rows:
        strips = Strips(sent.shape)
        strips.add(there)
        raw = strips.finish(0)
    else:
        raw = restore(sent.shape, there, 0)
    hole = lost(sent.shape, there)
    found = {}
    for fill in fills:
        found[fill] = raw.copy()
        conceal(found[fill], hole, FILLS.index(fill), mean)
    return found


def losses(study: LossStudy, sent: Sequence[Sent], pattern: str, loss: float) -> list[list[int]]:
    """Numbers of the packets that each picture loses; bursts go on from one picture to the next."""
    counts = [len(one.packets) for one in sent]
    seed = (study.seed, 1 if pattern == BURSTS else 0)
    gone = struck(seed, sum(counts), loss, study.burst_packets if pattern == BURSTS else 1.0)
    return [np.flatnonzero(part).tolist() for part in np.split(gone, np.cumsum(counts)[:-1])]


def worst_of(sent: Sent, bucket: float, seed: tuple[int, ...]) -> list[int]:
    """As many packets, drawn at random, as can be lost with no more than a share of the picture."""
    gone: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(sent.packets)).tolist():
        if sent.share([*gone, number]) <= bucket + 1e-9:
            gone.append(number)
    return gone


def mean_of(pictures: Sequence[NDArray[np.uint8]]) -> tuple[int, ...]:
    """Mean of each channel over pictures (h, w) or (h, w, 3)."""
    each = [np.atleast_1d(picture.mean(axis=(0, 1))) for picture in pictures]
    return tuple(round(value) for value in np.mean(each, axis=0).tolist())
