"""Forward error correction: a picture as blocks of datagrams of which any k restore the block (Reed-Solomon).

Systematic: the first k datagrams of a block are the picture's own bytes, the others are computed from them. The code is
that of the package ``pyeclib`` (liberasurecode), which takes at most 32 fragments, so a larger picture is more than one
block, and the blocks' datagrams leave in turns. Layout of a datagram's content, big-endian::

    0  number  u32  of the picture     4  block  u8    5  blocks  u8    6  k  u8    7  n  u8
    8  place   u8   of the datagram in its block; then the fragment as the library makes it (80 bytes of header)

Source: Reed, Solomon, J. SIAM 8 (1960) 300; ``liberasurecode_rs_vand`` is the systematic Vandermonde code.
"""

from __future__ import annotations

import functools
import struct
from collections import OrderedDict
from typing import Any, NamedTuple

from testbed.errors import LocalWireError, RemoteWireError

_HEAD = struct.Struct(">IBBBBB")
_FRAGMENT_BYTES = 80 + 16
"""The library's header, and what it may add so that fragments are alike."""
MOST = 32
_MOST_OPEN = 64
_REMEMBERED = 4096


def why_not() -> str:
    """Why there is no code here, or an empty string."""
    try:
        import pyeclib.ec_iface  # noqa: F401 - whether it can be imported is the question
    except ImportError as error:
        return f"forward error correction needs the package pyeclib: {error}"
    return ""


@functools.lru_cache(maxsize=128)
def _code(k: int, parity: int) -> Any:  # noqa: ANN401 - the library has no types
    from pyeclib.ec_iface import ECDriver

    return ECDriver(k=k, m=parity, ec_type="liberasurecode_rs_vand")


def protect(number: int, data: bytes, *, limit: int, redundancy: float) -> list[bytes]:
    """Contents of the datagrams that carry some bytes.

    Args:
        limit: size of a content [bytes]. redundancy: computed datagrams per own one; rounded up in each block.

    Raises:
        LocalWireError: the bytes need too many blocks.
    """
    room = limit - _HEAD.size - _FRAGMENT_BYTES
    most = next(k for k in range(MOST - 1, 0, -1) if k + _parity(k, redundancy) <= MOST or k == 1)
    fragments = -(-len(data) // room)
    blocks = -(-fragments // most)
    if blocks > 255:
        raise LocalWireError(f"{len(data)} bytes are too many blocks")
    size = -(-len(data) // blocks)
    k = -(-size // room)
    parity = min(_parity(k, redundancy), MOST - k)
    hands = []
    for block in range(blocks):
        part = data[block * size : (block + 1) * size]
        coded = _code(k, parity).encode(part)
        hands.append([_HEAD.pack(number, block, blocks, k, k + parity, i) + f for i, f in enumerate(coded)])
    return [content for turn in zip(*hands, strict=True) for content in turn]


def _parity(k: int, redundancy: float) -> int:
    return max(1, -int(-k * redundancy // 1))


class Coded(NamedTuple):
    """One datagram's content."""

    number: int
    block: int
    blocks: int
    k: int
    n: int
    place: int
    fragment: bytes


def read(content: bytes) -> Coded:
    """Read a content.

    Raises:
        RemoteWireError: it is none.
    """
    try:
        number, block, blocks, k, n, place = _HEAD.unpack_from(content)
    except struct.error as error:
        raise RemoteWireError("a coded datagram is cut short") from error
    if block >= blocks or not 0 < k < n <= MOST or place >= n:
        raise RemoteWireError("a coded datagram says what cannot be")
    return Coded(number, block, blocks, k, n, place, content[_HEAD.size :])


class _Open:
    def __init__(self, first: Coded, due: int) -> None:
        self.blocks: list[dict[int, bytes]] = [{} for _ in range(first.blocks)]
        self.k, self.n = first.k, first.n
        self.due = due

    @property
    def complete(self) -> bool:
        return all(len(block) >= self.k for block in self.blocks)


class Restored(NamedTuple):
    """A picture of which nothing more is awaited: its bytes, or ``None`` where too few datagrams came."""

    number: int
    data: bytes | None


class CodedGatherings:
    """Coded pictures that are coming in, as in `drivers.agent.gatherings`; through as soon as they can be restored."""

    def __init__(self, wait: int, gap: int) -> None:
        """Nothing is coming in; ``wait`` from the first datagram on, ``gap`` once the last is there [ns]."""
        self._wait, self._gap = wait, gap
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._ended: OrderedDict[int, None] = OrderedDict()

    @property
    def due(self) -> int | None:
        """When to look again [ns]."""
        return min((one.due for one in self._open.values()), default=None)

    def add(self, coded: Coded, now: int) -> list[Restored]:
        """Take a datagram; what is through now.

        Raises:
            RemoteWireError: it contradicts an earlier one of its picture.
        """
        if coded.number in self._ended:
            return []
        one = self._open.get(coded.number)
        if one is None:
            one = self._open[coded.number] = _Open(coded, now + self._wait)
        if (one.k, one.n, len(one.blocks)) != (coded.k, coded.n, coded.blocks):
            raise RemoteWireError("a coded datagram contradicts an earlier one")
        one.blocks[coded.block][coded.place] = coded.fragment
        if coded.place == coded.n - 1 and coded.block == coded.blocks - 1:
            one.due = min(one.due, now + self._gap)
        ended = [self._end(coded.number)] if one.complete else []
        while len(self._open) > _MOST_OPEN:
            ended.append(self._end(next(iter(self._open))))
        return ended

    def late(self, now: int) -> list[Restored]:
        """What is through because nothing more is waited for."""
        return [self._end(number) for number, one in list(self._open.items()) if one.due <= now]

    def _end(self, number: int) -> Restored:
        one = self._open.pop(number)
        self._ended[number] = None
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        if not one.complete:
            return Restored(number, None)
        code = _code(one.k, one.n - one.k)
        parts = [code.decode([block[i] for i in sorted(block)[: one.k]]) for block in one.blocks]
        return Restored(number, b"".join(parts))
