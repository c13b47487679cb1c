"""The overlay is identified, started once, waited for within bounds, and brought back."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from drivers.agent.runtimes.overlay import registers as r
from drivers.agent.runtimes.overlay.engine import ALWAYS, NEVER, Engine
from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.program_file import read_program
from tests.drivers.agent.runtimes.overlay.conftest import IP, toy


@pytest.fixture
def engine(board):
    return Engine(board.logic, IP, timeout_s=0.2)


def put(placed, first, second):
    words = np.asarray(placed.given).view(np.int8).reshape(4, 5, 8)
    words[:] = -128
    words[0, 0, 0], words[0, 1, 0] = first - 128, second - 128


def test_it_tells_what_the_overlay_has(engine):
    assert engine.capabilities() == {
        "rows": 16,
        "lanes": 8,
        "act_words": 16384,
        "wgt_words": 1024,
        "par_channels": 512,
        "tables": 4,
        "version": 0x0001_0000,
    }


def test_another_overlay_is_refused(board):
    board.fabric.break_("wrong-bitstream")
    with pytest.raises(OverlayError, match="0x0badf00d"):
        Engine(board.logic, IP)
    with pytest.raises(OverlayError, match="no IP 'other'"):
        Engine(board.logic, "other")


def test_a_result_has_answer_and_counters(engine, program):
    placed = engine.place(program)
    put(placed, 4, 30)
    record = engine.run(placed, [NEVER, ALWAYS])
    assert (record.exit, record.label, record.cycles, record.stalls) == (1, 1, 2000, 7)
    assert struct.unpack("3b", record.logits) == (0, 30, 0)
    assert record.total == 32768 + 2 * round(32768 * np.exp(-3))
    assert engine.run(placed, [record.total, ALWAYS]).exit == 0
    assert engine.run(placed, [record.total - 1, ALWAYS]).exit == 1


def test_weights_are_set_up_once_and_again_for_another_program(board, engine, program):
    one, two = engine.place(program), engine.place(read_program(toy(mark=1)))
    for placed in (one, one, two, two, one):
        engine.run(placed, [ALWAYS])
    assert board.setups == 3
    assert len(board.starts) == 8


def test_registers_that_hold_the_value_are_not_written_again(board, engine, program):
    placed = engine.place(program)
    engine.run(placed, [NEVER])
    written = []
    write = board.fabric.write
    board.fabric.write = lambda offset, value: (written.append(offset), write(offset, value))
    engine.run(placed, [NEVER])
    assert written == [r.STATUS, r.CONTROL]
    engine.run(placed, [5])
    assert written[2:] == [r.EXIT_LIMIT, r.STATUS, r.CONTROL]


def test_the_row_mask_reaches_all_its_registers(board, engine, program):
    placed = engine.place(program)
    mask = 1 << 255 | 1 << 32 | 1
    engine.run(placed, [NEVER], mask)
    assert board.starts[-1].mask == mask


def test_a_program_that_needs_more_is_refused_and_nothing_is_kept(board, engine):
    for name, need in (("rows", 8), ("act_words", 32768), ("unknown", 1)):
        with pytest.raises(OverlayError, match=f"needs {name} = {need}"):
            engine.place(read_program(toy(requires={name: need})))
    assert board.fabric.arena.taken_bytes == 0


def test_memory_is_given_back(board, engine, program):
    placed = engine.place(program)
    assert board.fabric.arena.taken_bytes == 3 * 4096
    engine.run(placed, [NEVER])
    engine.free(placed)
    assert board.fabric.arena.taken_bytes == 0
    engine.run(engine.place(program), [NEVER])
    assert board.setups == 2  # what was resident went with it


def test_a_bus_error_is_reported_and_a_soft_reset_helps(board, engine, program):
    placed = engine.place(program)
    put(placed, 2, 9)
    engine.run(placed, [NEVER])
    board.fabric.break_("bus-error")
    with pytest.raises(OverlayError, match="AXI read error.*brought back by soft reset") as caught:
        engine.run(placed, [NEVER])
    assert caught.value.code == 3
    assert engine.run(placed, [NEVER]).label == 2
    assert engine.recovered == {"soft reset": 1, "reload": 0}
    assert board.setups == 2  # a reset forgets the weights
    assert board.fabric.loads == 1


def test_a_hung_overlay_is_given_up_in_time_and_loaded_again(board, engine, program):
    placed = engine.place(program)
    board.fabric.break_("hung")
    with pytest.raises(OverlayError, match=r"did not end within 0\.2 s; brought back by reload"):
        engine.run(placed, [NEVER])
    assert engine.recovered == {"soft reset": 0, "reload": 1}
    assert board.fabric.loads == 2
    assert engine.run(placed, [NEVER]).exit == 1


def test_what_nothing_helps_is_told_each_time_until_something_does(board, engine, program):
    placed = engine.place(program)
    board.fabric.break_("wrong-bitstream")
    board.logic.reload = lambda: None
    engine._suspect = True
    for _ in range(2):
        with pytest.raises(OverlayError, match="0x0badf00d"):
            engine.run(placed, [NEVER])
    board.fabric.break_(None)
    assert engine.run(placed, [NEVER]).exit == 1


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0), (4, 2), (8, 3), (12, 0), (32, 5)],
    ids=["magic", "exit", "label", "sum", "error"],
)
def test_a_record_that_makes_no_sense_is_no_answer(board, engine, program, at, value):
    placed = engine.place(program)
    write = board.fabric.write

    def spoil(offset, given):
        write(offset, given)
        if offset == r.CONTROL and given == r.CONTROL_START:
            placed.record[at : at + 4] = memoryview(struct.pack("<I", value))

    board.fabric.write = spoil
    with pytest.raises(OverlayError, match="without a result|makes no sense"):
        engine.run(placed, [NEVER])


def test_memory_beyond_the_reach_of_its_addresses_is_refused(board, engine, program):
    board.fabric.arena.base = (1 << 32) - 8192
    with pytest.raises(OverlayError, match="4 GiB"):
        engine.place(program)
    assert board.fabric.arena.taken_bytes == 0
