"""The table of cycles beside a program: written, read, and refused where it belongs to another one."""

from __future__ import annotations

import pytest

from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.boards.programs import SHIPPED
from drivers.virtual.pynq.cycles import CycleTable, ExitCycles, read_cycles, write_cycles
from testbed.errors import ConfigError

TABLE = CycleTable(
    schema=1,
    program_sha256="a" * 64,
    origin="simulated",
    source="a test",
    setup_cycles=700,
    exit=(ExitCycles(cycles=1000, stalls=20, n=3), ExitCycles(cycles=2000, stalls=30, n=3)),
)


def test_what_is_written_is_read(tmp_path):
    program = tmp_path / "net.npu"
    assert write_cycles(TABLE, program).name == "net.cycles.toml"
    found = read_cycles(program, "a" * 64, 2)
    assert found == TABLE
    assert (found.of(-1), found.of(0), found.of(1)) == ((700, 0), (1000, 20), (2000, 30))


def test_one_that_is_missing_or_of_another_program_is_named(tmp_path):
    program = tmp_path / "net.npu"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cycles(program, "a" * 64, 2)
    file = write_cycles(TABLE, program)
    for sha256, exits, key in (("b" * 64, 2, "program_sha256"), ("a" * 64, 1, "exit")):
        with pytest.raises(ConfigError) as caught:
            read_cycles(program, sha256, exits)
        assert (caught.value.key, caught.value.file) == (key, str(file))


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.npu")), ids=lambda file: file.stem)
def test_every_program_shipped_has_its_cycles(file):
    program = read_program(file.read_bytes())
    table = read_cycles(file, program.sha256, len(program.exits))
    for row, one in zip(table.exit, program.exits, strict=True):
        assert 0.5 < row.cycles / one.cycles < 2  # the compiler's estimate is not that far away
        assert row.stalls <= row.cycles
        assert (row.n > 0) == (table.origin == "simulated")
    assert [row.cycles for row in table.exit] == sorted(row.cycles for row in table.exit)
