from __future__ import annotations

import time

import pytest

from drivers.virtual.meters.nvml import NVMLError, VirtualNvml


def test_counters_and_powers_are_shared_by_the_gpus_and_renewed_in_steps():
    gpu = VirtualNvml(names=("A", "B"), refresh_s=0.05)
    gpu.draw(200.0)
    seen = set()
    until = time.monotonic() + 5
    while len(seen) < 3:
        assert time.monotonic() < until
        seen.add(gpu.nvmlDeviceGetTotalEnergyConsumption(0))
        time.sleep(0.001)
    steps = sorted(seen)
    assert steps[2] - steps[1] >= 90.0 * 0.05 * 1e3 * 0.99
    (field,) = gpu.nvmlDeviceGetFieldValues(0, [(VirtualNvml.NVML_FI_DEV_POWER_INSTANT, 0)])
    assert (field.nvmlReturn, field.value.uiVal) == (0, 100_000)


def test_the_average_lags_behind_the_load():
    gpu = VirtualNvml(refresh_s=0.001, window_s=100.0)
    time.sleep(0.02)
    gpu.draw(1000.0)
    time.sleep(0.02)
    assert 100_000 <= gpu.nvmlDeviceGetPowerUsage(0) < 1_000_000


def test_trouble_answers_with_the_library_s_codes():
    gpu = VirtualNvml(unsupported=("energy", "instant"))
    with pytest.raises(NVMLError) as caught:
        gpu.nvmlDeviceGetTotalEnergyConsumption(0)
    assert caught.value.value == 3
    (field,) = gpu.nvmlDeviceGetFieldValues(0, [(VirtualNvml.NVML_FI_DEV_POWER_INSTANT, 0)])
    assert field.nvmlReturn == 3
    gpu.mute()
    with pytest.raises(NVMLError, match="lost"):
        gpu.nvmlDeviceGetPowerUsage(0)
