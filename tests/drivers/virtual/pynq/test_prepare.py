"""The command that makes answers and cycles, on a few images."""

from __future__ import annotations

import shutil

import numpy as np

from drivers.boards.programs import SHIPPED
from drivers.virtual.pynq.cycles import read_cycles
from drivers.virtual.pynq.prepare import counted, inputs_of, main
from drivers.virtual.pynq.remembered import read_remembered
from tests.drivers.virtual.pynq.conftest import MODEL, needs_rtl


def test_both_files_come_beside_the_program(tmp_path, program, images, expected, capsys):
    file = tmp_path / "net.npu"
    shutil.copy(SHIPPED / f"{MODEL}.npu", file)
    labels = np.array([result.label for result in expected[:-1]] + [11], np.uint8)
    np.savez(tmp_path / "set.npz", images=images[:, 0], labels=labels)
    assert main([str(file), "--images", str(tmp_path / "set.npz"), "--rtl", "0"]) == 0
    assert "5 of 6 right" in capsys.readouterr().out
    table = read_cycles(file, program.sha256, 1)
    assert table.origin == "modelled"
    assert table.exit[0].cycles == program.output.exits[0].cycles
    stored = read_remembered(file, program.sha256)
    for one, result in zip(inputs_of(program, images), expected, strict=True):
        assert stored.find(one.tobytes(), (0,)).total == result.total


@needs_rtl
def test_cycles_are_counted_on_the_rtl(program, images):
    file = SHIPPED / f"{MODEL}.npu"
    table, shipped = (
        counted(program, file, inputs_of(program, images[:1])),
        read_cycles(file, program.sha256, 1),
    )
    assert (table.origin, table.exit[0].n) == ("simulated", 1)
    assert "40 cycles" in table.source
    if shipped.origin == "simulated":
        assert abs(table.exit[0].cycles - shipped.exit[0].cycles) <= 64
        assert abs(table.setup_cycles - shipped.setup_cycles) <= 64
