from __future__ import annotations

import subprocess
import time

import pytest

from drivers.virtual.meters.tegrastats import SHAPES, VirtualTegrastats, line_of


@pytest.mark.parametrize("shape", SHAPES)
def test_units_are_those_of_the_release(shape):
    line = line_of(shape, 10.0)
    assert ("mW/" in line) is (shape not in ("nano", "agx-xavier"))
    assert line.startswith("RAM") is (shape in ("nano", "agx-xavier"))


def test_the_program_follows_the_draw_and_dies_of_its_pipe(tmp_path):
    rig = VirtualTegrastats(tmp_path, "nano")
    tool = subprocess.Popen(
        [str(tmp_path / "usr/bin/tegrastats"), "--interval", "10"], stdout=subprocess.PIPE, text=True
    )
    assert "POM_5V_IN 1000/" in tool.stdout.readline()
    rig.draw(5.0)
    until = time.monotonic() + 10
    while "POM_5V_IN 5000/" not in tool.stdout.readline():
        assert time.monotonic() < until
    tool.stdout.close()
    assert tool.wait(10) is not None


def test_an_ended_program_says_nothing_more(tmp_path):
    rig = VirtualTegrastats(tmp_path, "agx-orin")
    tool = subprocess.Popen(
        [str(tmp_path / "usr/bin/tegrastats"), "--interval", "10"], stdout=subprocess.PIPE, text=True
    )
    tool.stdout.readline()
    rig.mute()
    tool.communicate(timeout=10)
    assert tool.returncode == 0
    assert not (tmp_path / "usr/bin/tegrastats").exists()
