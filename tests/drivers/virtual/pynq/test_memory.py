"""The arena hands out pages that never overlap, and takes them back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.pynq.memory import Arena

PAGE = 4096


def test_a_buffer_is_memory_at_its_address():
    arena = Arena(np.full(4 * PAGE, 7, np.uint8), base=0x1000)
    buffer = arena.allocate(10)
    assert not buffer.any()
    buffer[3:5] = (1, 2)
    buffer.flush()
    buffer.invalidate()
    assert arena.at(buffer.device_address + 3, 2).tolist() == [1, 2]
    assert buffer[2:].arena is None  # a view frees nothing
    buffer.freebuffer()
    buffer.freebuffer()
    assert arena.taken_bytes == 0


def test_a_block_is_what_was_placed_around_an_address():
    arena = Arena(np.zeros(4 * PAGE, np.uint8), base=0x1000)
    buffer = arena.allocate(PAGE + 1)
    assert arena.block(buffer.device_address + 5).size == 2 * PAGE - 5
    with pytest.raises(IndexError, match="nothing was placed"):
        arena.block(buffer.device_address + 2 * PAGE)


def test_what_is_outside_is_not_there():
    arena = Arena(np.zeros(PAGE, np.uint8), base=0x1000)
    for address, size in ((0xFFF, 1), (0x1000, PAGE + 1), (0x2000, 1), (0x1000, -1)):
        with pytest.raises(IndexError):
            arena.at(address, size)
    with pytest.raises(MemoryError):
        arena.allocate(PAGE + 1)


@given(st.lists(st.tuples(st.integers(1, 3 * PAGE), st.booleans()), max_size=30))
def test_buffers_never_overlap_and_room_comes_back(steps):
    arena = Arena(np.zeros(16 * PAGE, np.uint8))
    held = []
    for size, drop in steps:
        if drop and held:
            held.pop(0).freebuffer()
        try:
            buffer = arena.allocate(size)
        except MemoryError:
            continue
        held.append(buffer)
        spans = sorted((b.device_address, b.device_address + b.size) for b in held)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
        assert arena.base <= spans[0][0]
        assert spans[-1][1] <= arena.base + 16 * PAGE
    for buffer in held:
        buffer.freebuffer()
    assert arena.allocate(16 * PAGE).size == 16 * PAGE
