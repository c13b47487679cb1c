import pytest

from benchmarks.npu import (
    CITED,
    MULTIPLIERS,
    ROOT,
    LayerCycles,
    cited,
    exit_excess,
    layers_of,
    stop_at,
    utilisation,
)
from drivers.npu import isa, program
from drivers.npu.simulator import CommandSpan


def layer(macs, measured, op="Conv"):
    return LayerCycles(name="", op=op, macs=macs, estimated=0, measured=measured, dense=True)


def test_utilisation_counts_layers_by_their_time():
    assert utilisation([layer(MULTIPLIERS * 100, 100), layer(MULTIPLIERS * 100, 300)]) == 0.5


def test_an_exit_in_proportion_has_no_excess():
    layers = [layer(0, 400), layer(0, 100, "Exit"), layer(0, 400), layer(0, 100, "Exit")]
    assert exit_excess(layers, [520, 1040]) == pytest.approx(0)
    assert exit_excess(layers, [780, 1040]) == pytest.approx(0.5)


def test_limits_leave_at_one_exit():
    assert stop_at(1, 3) == [isa.NEVER, isa.ALWAYS, isa.NEVER]


def test_layers_are_those_of_the_program_and_dense_ones_are_told_apart():
    made = program.read(ROOT / "drivers/npu/programs/resnet8-int8.npu")
    found = layers_of(made, [CommandSpan(2, isa.Conv.OPCODE, 10, 30)])
    assert [one.name for one in found] == [one.name for one in made.layers]
    assert [one.measured for one in found[:3]] == [0, 20, 0]
    convolutions = [one.dense for one in found if one.op == "Conv"]
    # The first has one input channel.
    assert convolutions == [False] + [True] * (len(convolutions) - 1)


def test_published_rows_carry_origin_and_citation():
    rows = cited(ROOT / "hwprofiles/pynq-z2", CITED)
    assert len(rows) == len(CITED)
    assert all("MLPerf Tiny v0.7" in row and "cited" in row for row in rows)
