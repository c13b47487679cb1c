from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from drivers.virtual.machine.config import Rail
from drivers.virtual.machine.load import Load
from drivers.virtual.machine.power import CURRENT_STEP_MA, FOLDER, VOLT_STEP_MV, VirtualIna3221

if TYPE_CHECKING:
    from pathlib import Path

RAILS = (
    Rail(label="VDD_IN", idle_frac=1.0, work_frac=1.0),
    Rail(label="VDD_CPU_GPU_CV", idle_frac=0.2, work_frac=0.75),
)


def number(root: Path, name: str) -> int:
    return int((root / FOLDER / name).read_text())


def watts(root: Path, k: int) -> float:
    return number(root, f"in{k}_input") * number(root, f"curr{k}_input") / 1e6


def test_the_folder_looks_like_the_kernels(tmp_path: Path) -> None:
    VirtualIna3221(tmp_path, RAILS, Load(4.3, {}))
    read = {file.name: file.read_text().strip() for file in (tmp_path / FOLDER).iterdir()}
    assert read["name"] == "ina3221"
    assert (read["in1_label"], read["in2_label"]) == ("VDD_IN", "VDD_CPU_GPU_CV")
    assert read["in7_label"] == "sum of shunt voltages"
    assert read["shunt1_resistor"] == "5000"
    assert not [name for name in read if name.startswith("power")]  # the chip has no power file


def test_values_are_whole_steps_and_right_on_average(tmp_path: Path) -> None:
    meter = VirtualIna3221(tmp_path, RAILS, Load(4.3, {}), seed=5)
    seen: list[float] = []
    for _ in range(400):
        meter.show(3.2)
        assert number(tmp_path, "in1_input") % VOLT_STEP_MV == 0
        assert number(tmp_path, "curr1_input") % CURRENT_STEP_MA == 0
        seen.append(watts(tmp_path, 1))
    # One step is 40 mW; dither makes the mean better than the step.
    assert sum(seen) / len(seen) == pytest.approx(4.3 + 3.2, abs=0.01)
    assert max(seen) - min(seen) < 0.5


def test_a_shorter_number_leaves_no_digits_behind(tmp_path: Path) -> None:
    meter = VirtualIna3221(tmp_path, RAILS, Load(4.3, {}))
    meter.show(5.0)
    assert number(tmp_path, "curr1_input") > 1000
    meter.show(0.0)
    assert number(tmp_path, "curr1_input") < 1000


def test_the_files_follow_the_load(tmp_path: Path) -> None:
    load = Load(4.0, {"a": 9.0})
    with VirtualIna3221(tmp_path, RAILS, load):
        comes_to(tmp_path, 1, 4.0)
        with load.executing("a"):
            comes_to(tmp_path, 1, 9.0)
            comes_to(tmp_path, 2, 0.2 * 4.0 + 0.75 * 5.0)
        comes_to(tmp_path, 1, 4.0)


def comes_to(root: Path, k: int, expected: float) -> None:
    """The rail shows so many watts within 10 s; how soon is up to how busy this host is."""
    until = time.monotonic() + 10
    while (seen := watts(root, k)) != pytest.approx(expected, abs=0.2):
        assert time.monotonic() < until, f"rail {k} shows {seen} W, not {expected} W"
        time.sleep(0.01)
