"""The folder of the overlay hangs together: no warnings, and wrapper and build script agree with the RTL."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tomllib

import pytest

from drivers.npu.description import OVERLAY, read_description
from drivers.npu.verilated import SimulatorMissing, find_verilator

DESCRIBED = read_description()
PORT = re.compile(r"^\s*(input|output)\s+(?:logic|wire)\s*(\[[^]]+\])?\s*(\w+)\s*[,)]?", re.MULTILINE)


def ports(file: str) -> list[tuple[str, ...]]:
    text = (OVERLAY / file).read_text("utf-8")
    return PORT.findall(text[: text.index(");")])


@pytest.mark.parametrize(
    "settings", [{}, {"ROWS": 8, "ACT_WORDS": 1024, "WGT_WORDS": 64, "PAR_CHANNELS": 64}]
)
def test_verilator_has_nothing_to_say(settings):
    try:
        verilator, root = find_verilator()
    except SimulatorMissing as error:
        pytest.skip(str(error))
    rtl = OVERLAY / "rtl"
    files = [*sorted(rtl.glob("*.sv")), OVERLAY / "vivado/edge_npu_ip.v"]
    command = [str(verilator), "--lint-only", "-Wall", "--top-module", "edge_npu_ip", f"-I{rtl}"]
    command += [f"-G{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        [*command, *map(str, files)],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_vivados_wrapper_has_the_ports_of_the_top():
    assert ports("vivado/edge_npu_ip.v") == ports("rtl/edge_npu.sv")
    assert len(ports("rtl/edge_npu.sv")) > 40


def test_the_build_script_agrees_with_the_description():
    script = (OVERLAY / "build.tcl").read_text("utf-8")
    assert DESCRIBED.vlnv in script
    (zynq,) = re.findall(r"set window (0x[0-9A-F]+); set family zynq", script)
    assert int(zynq, 16) == DESCRIBED.bus.base
    assert f"PERIPHERAL_FREQMHZ {DESCRIBED.bus.clock_mhz:g}" in script
    (rows,) = set(re.findall(r"set rows (\d+)", script))
    assert int(rows) == DESCRIBED.parameters.rows


def test_every_board_that_the_script_builds_for_has_a_place_in_the_manifest():
    script = (OVERLAY / "build.tcl").read_text("utf-8")
    cases = re.search(r"switch -- \$board \{(.*?)\n\}", script, re.DOTALL)
    assert cases
    built = set(re.findall(r"pynq-z\d|zcu104", cases[1].split("default")[0]))
    told = tomllib.loads((OVERLAY / "overlay.toml").read_text("utf-8"))
    assert built == {board for build in told["build"] for board in build["boards"]}
    files = [build[kind] for build in told["build"] for kind in ("bitstream", "hwh")]
    assert len(set(files)) == len(files)


def test_what_is_pinned_is_what_lies_here():
    told = tomllib.loads((OVERLAY / "overlay.toml").read_text("utf-8"))
    assert told["clock_mhz"] == DESCRIBED.bus.clock_mhz
    for build in told["build"]:
        for kind in ("bitstream", "hwh"):
            file = OVERLAY / build[kind]
            if file.is_file():
                assert hashlib.sha256(file.read_bytes()).hexdigest() == build[f"{kind}_sha256"], file.name
            else:
                assert build[f"{kind}_sha256"] == "", f"{file.name} is pinned and not there"
