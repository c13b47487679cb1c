from __future__ import annotations

import pytest

from drivers.agent.gpu_condition import GpuCondition
from drivers.virtual.meters.nvml import VirtualNvml
from testbed.errors import MeterError


def test_temperature_clock_and_what_slows_each_gpu():
    nvml = VirtualNvml(names=("A", "B"))
    gpus = GpuCondition(lambda: nvml)
    assert gpus.read() == ({"gpu0": 40.0, "gpu1": 40.0}, {"gpu0": 1_410_000_000, "gpu1": 1_410_000_000}, [])
    nvml.celsius = 83
    nvml.throttled = nvml.nvmlClocksThrottleReasonSwThermalSlowdown | nvml.nvmlClocksThrottleReasonGpuIdle
    celsius, _, slowed = gpus.read()
    assert celsius["gpu1"] == 83.0
    assert slowed == ["gpu0: heat, by the driver", "gpu1: heat, by the driver"], "an idle one is not slowed"


def test_what_is_not_supported_is_left_out_and_never_0():
    nvml = VirtualNvml(unsupported=("temperature 0", "reasons"))
    assert GpuCondition(lambda: nvml).read() == ({}, {"gpu0": 1_410_000_000}, [])
    nvml.mute()
    assert GpuCondition(lambda: nvml).read() == ({}, {}, [])


@pytest.mark.parametrize("missing", ["nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"])
def test_an_old_library(missing, monkeypatch):
    monkeypatch.delattr(VirtualNvml, missing)
    assert GpuCondition(VirtualNvml).read()[0] == {}


def test_without_library_or_driver_there_is_nothing_and_it_is_looked_for_once():
    tries = []

    def none():
        tries.append(1)
        raise MeterError("nvidia-ml-py is not installed for this Python")

    gpus = GpuCondition(none)
    assert gpus.read() == gpus.read() == ({}, {}, [])
    assert len(tries) == 1

    class NoDriver(VirtualNvml):
        def nvmlInit(self):  # noqa: N802
            raise self.NVMLError(9)

    assert GpuCondition(NoDriver).read() == ({}, {}, [])
