from __future__ import annotations

import itertools
import os
import time

import pytest

from drivers.agent.meters.rapl import find_rapl
from drivers.virtual.meters.rapl import VirtualRapl
from testbed.contracts.meter import MeterContract
from testbed.errors import MeterError, SampleError


class TestRapl(MeterContract):
    period = 20_000_000
    tolerance_w = 1.0  # the counter of the rig is renewed by a thread, late under load
    cannot = {"test_the_end_of_its_range_is_told": "a counter begins again at its range; see the wrap"}

    @pytest.fixture
    def rig(self, tmp_path):
        with VirtualRapl(tmp_path) as rig:
            yield rig

    @pytest.fixture
    def meter(self, rig, tmp_path):
        return find_rapl(str(tmp_path))


def test_parts_of_the_package_are_not_added_to_it(tmp_path):
    with VirtualRapl(tmp_path):
        meter = find_rapl(str(tmp_path))
    assert meter.rails == ["package-0", "package-0/core", "package-0/dram"]
    assert meter.total == ["package-0", "package-0/dram"]


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def test_a_wrap_between_two_readings_is_no_gap_in_the_power(tmp_path):
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    write(zone, name="package-0", energy_uj=990_000, max_energy_range_uj=1_000_000)
    meter = find_rapl(str(tmp_path))
    meter.start(1)
    stamps = iter((0, 10**9, 2 * 10**9))
    with pytest.raises(SampleError, match="stand still"):  # as in virtual machines: no sample of 0 W
        meter.read(lambda: next(stamps))
    write(zone, energy_uj=490_000)
    assert meter.read(lambda: next(stamps)) == (10**9, [pytest.approx(0.5)])
    write(zone, energy_uj=491_000)
    assert meter.read(lambda: next(stamps)) == (2 * 10**9, [pytest.approx(0.001)])
    meter.stop()


def test_readings_in_a_row_are_never_within_one_renewal(tmp_path):
    with VirtualRapl(tmp_path) as rig:
        rig.draw(40.0)
        meter = find_rapl(str(tmp_path))
        meter.start(20_000_000)
        stamps, rows = zip(*(meter.read(time.monotonic_ns) for _ in range(6)), strict=True)
        meter.stop()
    assert all(later - earlier >= 9_000_000 for earlier, later in itertools.pairwise(stamps))
    assert all(watts > 0 for row in rows for watts in row)


def test_a_host_without_counters_says_so(tmp_path):
    with pytest.raises(MeterError, match="no powercap"):
        find_rapl(str(tmp_path))


def test_permissions_are_explained(tmp_path, monkeypatch):
    with VirtualRapl(tmp_path):
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(MeterError, match="root") as caught:
            find_rapl(str(tmp_path))
    assert "chmod" in caught.value.cure
