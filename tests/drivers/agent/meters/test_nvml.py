from __future__ import annotations

import itertools
import sys
import time
from types import ModuleType

import pynvml
import pytest

from drivers.agent.meters.nvml import Nvml, find_nvml, load_library
from drivers.virtual.meters.nvml import VirtualNvml
from testbed.contracts.meter import MeterContract
from testbed.errors import MeterError, SampleError

UNTOLD = {"test_the_end_of_its_range_is_told": "NVML tells no range of its sensors"}


class OnGpu(MeterContract):
    levels = (80.0, 210.0)
    tolerance_w = 5.0

    @pytest.fixture
    def meter(self, rig, monkeypatch):
        monkeypatch.setattr("drivers.agent.meters.nvml._PROBE_SECONDS", 0.05)
        return Nvml(rig)


class TestEnergyCounter(OnGpu):
    period = 10_000_000
    own_period = 10_000_000
    cannot = UNTOLD

    @pytest.fixture
    def rig(self):
        return VirtualNvml(names=("A", "B"), refresh_s=0.02)


class TestInstantPower(OnGpu):
    cannot = {**UNTOLD, "test_nonsense_is_told": "a power is an unsigned number whatever it says"}

    @pytest.fixture
    def rig(self):
        return VirtualNvml(unsupported=("energy",), refresh_s=0.01)


class TestAveragePower(OnGpu):
    cannot = {**UNTOLD, "test_nonsense_is_told": "a power is an unsigned number whatever it says"}

    @pytest.fixture
    def rig(self):
        return VirtualNvml(unsupported=("energy", "instant"), refresh_s=0.01, window_s=0.2)


@pytest.mark.parametrize(
    ("unsupported", "mode", "quantity"),
    [
        ((), "energy", "counter"),
        (("energy",), "instant", "instant"),
        (("energy", "instant"), "average", "average"),
    ],
)
def test_the_counter_comes_first_and_what_is_left_out_has_its_reason(unsupported, mode, quantity):
    about = Nvml(VirtualNvml(unsupported=unsupported)).about
    assert (about["reads"], about["traits"]["quantity"]) == (mode, quantity)
    assert set(about["not_supported"]) == set(unsupported)
    assert all("Not Supported" in reason for reason in about["not_supported"].values())


@pytest.mark.parametrize(
    ("name", "generation", "quantity"),
    [("NVIDIA RTX A3000", 7, "average"), ("NVIDIA A100-SXM4", 7, "instant"), ("Tesla V100", 5, "instant")],
)
def test_power_usage_is_an_average_from_ampere_on(name, generation, quantity):
    gpu = VirtualNvml(unsupported=("energy", "instant"), names=(name,), generation=generation)
    assert Nvml(gpu).about["traits"]["quantity"] == quantity


def test_not_supported_at_all_is_a_reason_never_a_zero():
    with pytest.raises(MeterError, match="Not Supported"):
        Nvml(VirtualNvml(unsupported=("energy", "instant", "average")))
    with pytest.raises(MeterError, match="no GPU"):
        Nvml(VirtualNvml(names=()))


def test_how_often_a_value_is_renewed_is_probed():
    probed = (Nvml(VirtualNvml(refresh_s=0.05)).about["refresh_ms"] for _ in range(10))
    assert any(ms is not None and 45 <= ms <= 60 for ms in probed)  # a busy host may be late, but not always
    still = VirtualNvml(unsupported=("energy",))
    about = Nvml(still).about
    assert about["refresh_ms"] is None
    assert "assumed" in about["traits"]["sources"]["period_ns"]


def test_energy_over_samples_is_that_of_the_counter():
    gpu = VirtualNvml(refresh_s=0.005)
    meter = Nvml(gpu)
    meter.start(5_000_000)
    stamps, watts = zip(*(meter.read(lambda: time.monotonic_ns()) for _ in range(20)), strict=True)
    spans = [later - earlier for earlier, later in itertools.pairwise(stamps)]
    joules = sum(row[0] * span / 1e9 for row, span in zip(watts[1:], spans, strict=True))
    # One renewal more or less at each end, and what this host is late.
    assert joules == pytest.approx(100.0 * (stamps[-1] - stamps[0]) / 1e9, abs=6 * 100.0 * 0.005)


def test_a_driver_that_does_not_answer_in_time_is_one_sample():
    gpu = VirtualNvml()
    meter = Nvml(gpu)
    meter.start(1_000_000)
    gpu.hang()
    with pytest.raises(SampleError) as caught:
        meter.read(time.monotonic_ns)
    assert caught.value.kind == SampleError.NO_ANSWER


def test_the_names_that_are_used_are_those_of_the_real_module():
    used = [name for name in vars(VirtualNvml) if name.startswith(("nvml", "NVML"))]
    assert used
    assert [name for name in used if not hasattr(pynvml, name)] == []
    for name in used:
        if name.isupper():
            assert getattr(pynvml, name) == getattr(VirtualNvml, name), name
    assert pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT).value == VirtualNvml.NVML_ERROR_TIMEOUT
    assert [name for name, _ in pynvml.c_nvmlFieldValue_t._fields_].count("nvmlReturn") == 1
    assert "uiVal" in [name for name, _ in pynvml.c_nvmlValue_t._fields_]


def test_a_host_without_a_driver_says_so():
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        with pytest.raises(MeterError, match="NVML"):
            find_nvml("/")
    else:
        pytest.skip("this host has an NVIDIA driver")


def test_the_old_project_of_the_same_name_is_told_from_nvidias(monkeypatch):
    old = ModuleType("pynvml")
    old.__path__ = ["site-packages/pynvml"]
    monkeypatch.setitem(sys.modules, "pynvml", old)
    with pytest.raises(MeterError, match="old project") as caught:
        load_library()
    assert "uninstall" in caught.value.cure
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeterError, match="not installed"):
        load_library()


def test_another_root_is_another_board():
    with pytest.raises(MeterError, match="another root"):
        find_nvml("/tmp")
