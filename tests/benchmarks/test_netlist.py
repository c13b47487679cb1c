from benchmarks.netlist import SMALL, STORED, case
from drivers.npu import isa


def test_cases_use_every_command_and_stay_inside_the_small_memories():
    image, commands, inputs, mask = case(0)
    assert {type(command) for command in commands} == set(isa.KINDS)
    assert len(inputs) == 8 * 32
    assert mask < 16
    for command in commands:
        if isinstance(command, isa.Load):
            assert command.base == isa.Base.INPUT or command.offset + command.length <= len(image)
    assert commands[-2].address + STORED // 8 <= SMALL["ACT_WORDS"]


def test_cases_differ_and_come_back():
    assert case(1) == case(1)
    assert case(1) != case(2)
