"""Temperatures, clocks and throttling of NVIDIA GPUs as their driver tells, through ``nvidia-ml-py``.

Source: NVML API Reference Guide: ``nvmlDeviceGetTemperature`` with ``NVML_TEMPERATURE_GPU`` [°C],
``nvmlDeviceGetClockInfo`` with ``NVML_CLOCK_SM`` [MHz], ``nvmlDeviceGetCurrentClocksThrottleReasons``, a mask of
``nvmlClocksThrottleReason*``. Slower than it could be are a GPU at its power cap, and one slowed by heat or by the
power brake; idle ones and clocks that somebody set are not. Accuracy: whole degrees, otherwise not stated. Written from
the documentation; not yet run on the hardware. On a Jetson the library answers NotSupported: there the kernel tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.agent.meters.nvml import load_library
from testbed.errors import MeterError

if TYPE_CHECKING:
    from collections.abc import Callable

SLOWING = (
    ("SwPowerCap", "power cap"),
    ("HwSlowdown", "hardware slowdown"),
    ("SwThermalSlowdown", "heat, by the driver"),
    ("HwThermalSlowdown", "heat, by the hardware"),
    ("HwPowerBrakeSlowdown", "power brake"),
)


class GpuCondition:
    """Reads all GPUs of this host; what one of them does not support is left out."""

    def __init__(self, load: Callable[[], Any] = load_library) -> None:
        """``load`` gives the library when it is first needed."""
        self._load = load
        self._nvml: Any = None
        self._gpus: list[Any] | None = None

    def read(self) -> tuple[dict[str, float], dict[str, int], list[str]]:
        """Temperatures [°C] and clocks [Hz] by GPU, and what slows them; empty without library, driver or GPU."""
        celsius: dict[str, float] = {}
        hertz: dict[str, int] = {}
        slowed: list[str] = []
        for index, gpu in enumerate(self._found()):
            nvml, name = self._nvml, f"gpu{index}"
            told = self._ask("nvmlDeviceGetTemperature", gpu, "NVML_TEMPERATURE_GPU")
            if told is not None:
                celsius[name] = float(told)
            told = self._ask("nvmlDeviceGetClockInfo", gpu, "NVML_CLOCK_SM")
            if told is not None:
                hertz[name] = told * 1_000_000
            mask = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", gpu) or 0
            slowed += [
                f"{name}: {text}"
                for reason, text in SLOWING
                if mask & getattr(nvml, f"nvmlClocksThrottleReason{reason}", 0)
            ]
        return celsius, hertz, slowed

    def _found(self) -> list[Any]:
        if self._gpus is None:
            self._gpus = []
            try:
                self._nvml = nvml = self._load()
                nvml.nvmlInit()
                count = nvml.nvmlDeviceGetCount()
                self._gpus = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
            except MeterError:
                return []  # no library: said so where meters are looked for
            except self._nvml.NVMLError:
                return []  # no driver: likewise
        return self._gpus

    def _ask(self, function: str, gpu: Any, constant: str = "") -> int | None:  # noqa: ANN401 - a foreign handle
        """What the driver answers, ``None`` where it does not support it or the library is too old to know it."""
        nvml = self._nvml
        try:
            arguments = (gpu, getattr(nvml, constant)) if constant else (gpu,)
            return int(getattr(nvml, function)(*arguments))
        except (nvml.NVMLError, AttributeError):
            return None
