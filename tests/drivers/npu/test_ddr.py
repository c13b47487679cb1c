"""Simulated memory: nobody gets what somebody holds, and what is freed is used again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.npu.ddr import Arena
from testbed.errors import BoardError


@given(st.lists(st.tuples(st.integers(1, 900), st.booleans()), max_size=30))
def test_what_is_held_never_overlaps(steps):
    arena = Arena(4096)
    held: dict[int, int] = {}
    for size, free in steps:
        if free and held:
            address, _ = held.popitem()
            arena.free(address)
            continue
        try:
            address = arena.allocate(size)
        except BoardError:
            # First fit may leave gaps, but never refuses what a gap could take.
            edges = sorted([(arena.base, 0), *held.items(), (arena.base + 4096, 0)])
            gaps = [b - (a + -(-n // 128) * 128) for (a, n), (b, _) in itertools.pairwise(edges)]
            assert max(gaps) < size
            continue
        assert address % 128 == 0
        assert arena.base <= address <= arena.base + 4096 - size
        assert all(address + size <= other or other + length <= address for other, length in held.items())
        held[address] = size


def test_a_view_is_the_memory():
    arena = Arena(128, base=0x4000)
    arena.view(0x4040, 2)[:] = (7, 8)
    assert list(arena.bytes[64:66]) == [7, 8]


@pytest.mark.parametrize(("address", "size"), [(0x3FFF, 1), (0x4000, 129), (0x4080, 1), (0x4000, -1)])
def test_a_view_outside_is_refused(address, size):
    with pytest.raises(ValueError, match="not in the simulated memory"):
        Arena(128, base=0x4000).view(address, size)


def test_what_cannot_be():
    with pytest.raises(ValueError, match="multiples"):
        Arena(100)
    arena = Arena(128)
    with pytest.raises(ValueError, match="cannot be allocated"):
        arena.allocate(0)
    with pytest.raises(ValueError, match="nothing is allocated"):
        arena.free(arena.base)
