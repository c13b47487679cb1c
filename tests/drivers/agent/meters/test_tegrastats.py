from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from drivers.agent.meters.tegrastats import find_tegrastats, parse_line
from drivers.virtual.meters.tegrastats import SHAPES, VirtualTegrastats, line_of
from testbed.contracts.meter import MeterContract
from testbed.errors import MeterError

REAL = Path(__file__).resolve().parents[5] / "shared/data/tegrastats"


class TestTegrastats(MeterContract):
    period = own_period = 20_000_000
    cannot = {
        "test_the_end_of_its_range_is_told": "the tool prints the end of the range like any other figure"
    }

    @pytest.fixture
    def rig(self, tmp_path):
        return VirtualTegrastats(tmp_path, "orin-nano")

    @pytest.fixture
    def meter(self, rig, tmp_path):
        return find_tegrastats(str(tmp_path))


TOTALS = {
    "nano": ["POM_5V_IN"],
    "agx-xavier": ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"],
    "agx-orin": ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"],
    "orin-nano": ["VDD_IN"],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_release_has_its_rails_and_total(shape, tmp_path):
    rig = VirtualTegrastats(tmp_path, shape)
    rig.draw(10.0)
    meter = find_tegrastats(str(tmp_path))
    assert meter.total == TOTALS[shape]
    assert "NC" not in meter.rails
    line = parse_line(line_of(shape, 10.0))
    assert sum(watts for rail, watts in line.power_w if rail in meter.total) == pytest.approx(10.0, abs=0.01)


def test_the_same_word_may_be_a_temperature_and_a_rail():
    line = parse_line("RAM 1/2MB GPU@32C CPU@33.5C GPU 0/0 CPU 216/216")
    assert line.power_w == (("GPU", 0.0), ("CPU", 0.216))
    assert line.temperature_c == {"GPU": 32.0, "CPU": 33.5}


@pytest.mark.parametrize(
    ("words", "power", "temperature"),
    [
        ("VDD_IN 5582mW/5564mW", (("VDD_IN", 5.582),), {}),
        ("VDD_IN 5582mW/5564mW/9000mW", (("VDD_IN", 5.582),), {}),  # JetPack 7
        ("cpu@52C/52C tj@48.281C", (), {"cpu": 52.0, "tj": 48.281}),
        ("CV0@-256C", (), {}),  # a zone without power is no temperature
        ("NC 0mW/0mW VDD_SOC 1mW/1mW NC 0mW/0mW", (("VDD_SOC", 0.001),), {}),
        ("SWAP 0/1978MB (cached 0MB) IRAM 0/252kB(lfb 252kB) NVENC 716 MTS fg 0% bg 2%", (), {}),
        ("GR3D_FREQ @0 GR3D_FREQ 53%@[612] EMC_FREQ 3%@1600 CPU [12%@1479,off]", (), {}),
    ],
)
def test_words_are_told_by_their_kind(words, power, temperature):
    line = parse_line(f"RAM 1/2MB (lfb 1x4MB) {words}")
    assert (line.power_w, line.temperature_c) == (power, temperature)


@pytest.mark.parametrize("text", ["", "Thu Dec 17 18:16:50 UTC 2020", "nvidia@linux:~$ sudo tegrastats"])
def test_what_is_no_line_of_it(text):
    assert parse_line(text) is None


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data/tegrastats here")
@pytest.mark.parametrize(
    ("name", "lines", "rails"),
    [
        ("nano-4gb-start", 9, ("POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU")),
        ("nano-4gb-gpu-busy", 7, ("POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU")),
        ("xavier-nx-gpu-burn-start", 9, ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")),
        ("agx-orin-64gb-light-load-then-idle", 7, ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")),
        ("tx2-robot-node", 4, ("VDD_IN", "VDD_CPU", "VDD_GPU", "VDD_SOC", "VDD_WIFI", "VDD_DDR")),
    ],
)
def test_real_lines_of_real_boards(name, lines, rails):
    parsed = [line for text in (REAL / f"{name}.log").read_text().splitlines() if (line := parse_line(text))]
    assert len(parsed) == lines
    assert all(tuple(rail for rail, _ in line.power_w) == rails for line in parsed)
    # What runs, runs between half a watt and sixty; a rail is never more than the input.
    assert all(0.5 < parsed_line.power_w[0][1] < 60 for parsed_line in parsed)


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data/tegrastats here")
@pytest.mark.parametrize("name", ["mixed-boards", "tx2-shell-capture"])
def test_real_logs_with_prompts_and_dates_in_between(name):
    texts = (REAL / f"{name}.log").read_text().splitlines()
    parsed = [line for text in texts if (line := parse_line(text))]
    assert 0 < len(parsed) < len(texts)
    assert all(line.power_w and line.temperature_c for line in parsed)


def test_a_tool_that_shows_no_power_is_no_meter(tmp_path):
    tool = tmp_path / "usr/bin/tegrastats"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho 'RAM 1/2MB CPU [0%@1] cpu@40C'\nexec sleep 9\n")
    tool.chmod(0o755)
    with pytest.raises(MeterError, match="no power") as caught:
        find_tegrastats(str(tmp_path))
    assert "root" in caught.value.cure


def test_a_board_without_the_tool_says_so(tmp_path):
    with pytest.raises(MeterError, match="no tegrastats"):
        find_tegrastats(str(tmp_path))


def test_the_tool_is_killed_when_it_is_no_longer_read(tmp_path):
    VirtualTegrastats(tmp_path, "nano")
    meter = find_tegrastats(str(tmp_path))
    meter.start(20_000_000)
    meter.read(time.monotonic_ns)
    pid = meter._child.pid
    meter.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
