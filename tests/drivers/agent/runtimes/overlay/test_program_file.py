"""A program file is taken apart, and every lie in it is found."""

from __future__ import annotations

import pytest

from drivers.agent.runtimes.overlay.program_file import ProgramError, Section, read_program
from tests.drivers.agent.runtimes.overlay.conftest import header_of, pack, toy

IMAGE = bytes(192)


def test_a_program_says_what_it_is():
    program = read_program(toy())
    assert (program.model, len(program.image), program.record_bytes) == ("toy", 192, 192)
    assert (program.setup, program.run) == (Section(0, 1), Section(64, 2))
    assert (program.input.groups, program.input.size) == (1, 4 * 5 * 8)
    assert [one.cycles for one in program.exits] == [1000, 2000]
    assert program.exits[0].temperature == 1.0


def changed(**changes):
    return pack(header_of(IMAGE, **changes), IMAGE)


def output(**changes):
    return {**header_of(IMAGE)["output"], **changes}


def one_exit(**changes):
    return output(exits=[{**header_of(IMAGE)["output"]["exits"][0], **changes}])


def given(**changes):
    return {**header_of(IMAGE)["input"], **changes}


def sections(**changes):
    return {**header_of(IMAGE)["sections"], **changes}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no program"),
        (b"EDGENPU2" + toy()[8:], "no program"),
        (toy()[:40], "cannot be read"),
        (toy()[:-1] + b"x", "hashes to"),
        (toy()[:-64], "hashes to"),
        (changed(sections=sections(run=[64, 3])), "outside"),
        (changed(sections=sections(run=[32, 1])), "outside"),
        (changed(sections=sections(run=[64, 0])), "no commands"),
        (changed(output=one_exit(classes=65)), "without classes"),
        (changed(output=one_exit(scale=0.0)), "without classes or scale"),
        (changed(output=output(exits=[])), "0 exits"),
        (changed(output=output(record_bytes=64)), "record of 64"),
        (changed(input=given(map=[0] * 255)), "256"),
        (changed(input=given(map=[0] * 255 + [128])), "256"),
        (changed(input=given(shape=[28, 28])), "shape"),
        (changed(requires=3), "cannot be read"),
        (changed(sha256="0" * 64), "hashes to"),
    ],
)
def test_what_is_wrong_is_named(data, why):
    with pytest.raises(ProgramError, match=why):
        read_program(data)
