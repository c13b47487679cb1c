"""The modelled registers behave as the contract says."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.agent.runtimes.overlay import registers as r
from drivers.virtual.pynq.memory import Arena
from drivers.virtual.pynq.model_fabric import Ended, ModelFabric


@pytest.fixture
def started():
    return []


@pytest.fixture
def fabric(started):
    def execute(arena, start):
        started.append(start)
        return Ended(exit=1, label=2, total=40000, logits=b"\x05\xfe\x07", cycles=1 << 33, stalls=5)

    return ModelFabric(Arena(np.zeros(8192, np.uint8), base=0x4000), execute)


def test_a_start_finds_what_was_written(fabric, started):
    given = {
        r.PROGRAM_BASE: 0x4000,
        r.COMMANDS_OFFSET: 64,
        r.PROGRAM_COMMANDS: 9,
        r.INPUT_BASE: 0x4800,
        r.OUTPUT_BASE: 0x5000,
        r.PROGRAM_HASH: 77,
        r.EXIT_LIMIT + 4: 50000,
        r.MASK + 28: 1 << 31,
    }
    for offset, value in given.items():
        fabric.write(offset, value)
        assert fabric.read(offset) == value
    fabric.write(r.CONTROL, r.CONTROL_START)
    (start,) = started
    assert (start.program, start.offset, start.commands, start.given) == (0x4000, 64, 9, 0x4800)
    assert (start.record, start.key, start.limits, start.mask) == (0x5000, 77, (0, 50000, 0, 0), 1 << 255)
    record = fabric.arena.at(0x5000, 128).tobytes()
    words = np.frombuffer(record[:40], np.uint32).tolist()
    assert words == [r.RECORD_MAGIC, 1, 2, 40000, 0, 2, 5, 0, 0, 0]
    assert record[64:68] == b"\x05\xfe\x07\x00"
    assert (fabric.read(r.CYCLES_LO), fabric.read(r.CYCLES_HI), fabric.read(r.STALL_AXI_LO)) == (0, 2, 5)
    assert fabric.read(r.EXIT) == 1 | 2 << 8


def test_done_is_cleared_by_writing_it(fabric):
    fabric.write(r.OUTPUT_BASE, 0x4000)
    fabric.write(r.CONTROL, r.CONTROL_START)
    fabric.write(r.STATUS, r.STATUS_ERROR)
    assert fabric.read(r.STATUS) == r.STATUS_DONE
    fabric.write(r.STATUS, r.STATUS_DONE)
    assert fabric.read(r.STATUS) == 0


def test_what_is_read_only_stays(fabric):
    for offset in (r.ID, r.VERSION, r.CAPS0, r.ERROR):
        before = fabric.read(offset)
        fabric.write(offset, 12345)
        assert fabric.read(offset) == before


def test_an_address_outside_of_memory_is_an_error_of_the_overlay(fabric):
    fabric.write(r.CONTROL, r.CONTROL_START)  # no address was set: the record would go to 0
    assert (fabric.read(r.STATUS), fabric.read(r.ERROR)) == (r.STATUS_ERROR, 2)
    fabric.write(r.CONTROL, r.CONTROL_SOFT_RESET)
    fabric.write(r.OUTPUT_BASE, 0x4000)
    fabric._execute = lambda arena, start: (arena.at(0, 1), Ended())[1]
    fabric.write(r.CONTROL, r.CONTROL_START)
    assert (fabric.read(r.STATUS), fabric.read(r.ERROR)) == (r.STATUS_ERROR, 2)


def test_a_soft_reset_forgets(fabric):
    fabric.write(r.PROGRAM_HASH, 5)
    fabric.write(r.CONTROL, r.CONTROL_SOFT_RESET)
    assert (fabric.read(r.PROGRAM_HASH), fabric.read(r.ID)) == (0, r.ID_VALUE)
