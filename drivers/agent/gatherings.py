"""Pictures that are coming in, packet by packet; pure, so that every rule can be tested without a clock.

A picture is through when all its packets are there; or its wait, which begins with its first packet, is over; or its
last packet is there and so long ago that nothing it overtook will come any more. What comes later is ignored. Both
number and size of what is held are bounded: beyond, the oldest picture is through with what it has.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from testbed.wire.datagrams import Order, decode_order
from testbed.wire.fragments import Gathering
from testbed.wire.strips import ROWS, Strips

if TYPE_CHECKING:
    from testbed.wire.fragments import Fragment

_MOST = 64
_MOST_BYTES = 16 << 20
_REMEMBERED = 4096
_MOST_WAIT_NS = 10_000_000_000


class Through(NamedTuple):
    """A picture of which nothing more is awaited.

    Attributes:
        began: as given with its first packet [ns]. strips: of what came, if the order is to decode it by rows.
    """

    action: int
    order: Order
    gathering: Gathering
    began: int
    strips: Strips | None = None


class Taken(NamedTuple):
    """What a packet brought.

    Attributes:
        first: it is the first of its picture. through: pictures of which nothing more is awaited now.
        strips: of its picture, where its segments can be decoded while others are on their way.
    """

    first: bool = False
    through: tuple[Through, ...] = ()
    strips: Strips | None = None


class _Open:
    __slots__ = ("due", "gathering", "held", "order", "through")

    def __init__(self, fragment: Fragment, now: int, size: int) -> None:
        self.order = decode_order(bytes(fragment.order))
        self.gathering = Gathering(fragment)
        shape = fragment.shape
        strips = Strips(shape) if self.order.decode == ROWS else None
        self.through = Through(fragment.action, self.order, self.gathering, now, strips)
        self.due = now + min(self.order.wait_us * 1000, _MOST_WAIT_NS)
        self.held = size if strips is None else size + 3 * shape.width * shape.height


class Gatherings:
    """All pictures of one key."""

    def __init__(self) -> None:
        """Nothing is coming in."""
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._ended: OrderedDict[int, None] = OrderedDict()
        self._held = 0

    @property
    def due(self) -> int | None:
        """When to look again [ns], if nothing comes before."""
        return min((one.due for one in self._open.values()), default=None)

    def add(self, fragment: Fragment, size: int, now: int) -> Taken:
        """Take a packet of ``size`` bytes.

        Raises:
            RemoteWireError: its order cannot be read, or it contradicts an earlier packet of its picture.
        """
        action = fragment.action
        if action in self._ended:
            return Taken()
        one = self._open.get(action)
        first = new = one is None
        if one is None:
            one = self._open[action] = _Open(fragment, now, size)
            self._held += one.held
        elif one.gathering.add(fragment):
            new = True
            one.held += size
            self._held += size
        if fragment.number == fragment.packets - 1:
            one.due = min(one.due, now + one.order.gap_us * 1000)
        ended = [self._end(action)] if one.gathering.complete else []
        while len(self._open) > _MOST or (self._held > _MOST_BYTES and len(self._open) > 1):
            ended.append(self._end(next(iter(self._open))))
        early = new and action in self._open
        return Taken(first, tuple(ended), one.through.strips if early else None)

    def late(self, now: int) -> list[Through]:
        """What is through because nothing more is waited for."""
        return [self._end(action) for action, one in list(self._open.items()) if one.due <= now]

    def _end(self, action: int) -> Through:
        one = self._open.pop(action)
        self._held -= one.held
        self._ended[action] = None
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        return one.through
