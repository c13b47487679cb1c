"""An NVML that nobody has: an object with the names of ``pynvml`` that the driver uses.

Counters and powers are renewed at a period of their own; what is not supported answers as the real library does.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

ENERGY, INSTANT, AVERAGE = "energy", "instant", "average"


class NVMLError(Exception):
    """As in the real module: ``value`` is the code."""

    def __init__(self, value: int) -> None:
        """Keep the code."""
        self.value = value
        super().__init__(
            {1: "Uninitialized", 3: "Not Supported", 10: "Timeout", 15: "GPU is lost"}.get(value, "?")
        )


class VirtualNvml:
    """The module, and the methods of a rig."""

    NVMLError = NVMLError
    NVML_SUCCESS = 0
    NVML_ERROR_NOT_SUPPORTED = 3
    NVML_ERROR_TIMEOUT = 10
    NVML_ERROR_GPU_IS_LOST = 15
    NVML_ERROR_UNKNOWN = 999
    NVML_FI_DEV_POWER_INSTANT = 186
    NVML_DEVICE_ARCH_AMPERE = 7

    def __init__(
        self,
        *,
        names: Sequence[str] = ("NVIDIA Virtual GPU",),
        refresh_s: float = 0.02,
        window_s: float = 1.0,
        unsupported: Collection[str] = (),
        generation: int = 7,
    ) -> None:
        """Have GPUs of these names share the power drawn equally."""
        self._names = names
        self._refresh_s = refresh_s
        self._window_s = window_s
        self._unsupported = unsupported
        self._generation = generation
        self._since = time.monotonic()
        self._history: list[tuple[float, float, float]] = [
            (self._since, 100.0, 0.0)
        ]  # instant, W from it, J at it
        self._trouble = 0
        self._set_back_j = 0.0

    # --- rig --------------------------------------------------------------------------------------------

    def draw(self, watts: float) -> None:
        """Draw so much on all GPUs together from now on."""
        at = time.monotonic()
        self._history.append((at, watts, self._joules(at)))

    def saturate(self) -> None:
        """Not shown: the sensors' range is not told."""

    def garble(self) -> None:
        """Have the driver loaded anew: its counters begin again."""
        self._set_back_j = self._joules(time.monotonic())

    def mute(self) -> None:
        """Lose the GPUs."""
        self._trouble = self.NVML_ERROR_GPU_IS_LOST

    def mend(self) -> None:
        """Have them back."""
        self._trouble = 0

    def hang(self) -> None:
        """Answer nothing in time."""
        self._trouble = self.NVML_ERROR_TIMEOUT

    # --- the module -------------------------------------------------------------------------------------

    def nvmlInit(self) -> None:  # noqa: N802
        """Nothing to do."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """How many GPUs."""
        return len(self._names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        """A handle."""
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        """Its name."""
        return self._names[handle]

    def nvmlDeviceGetArchitecture(self, _: int) -> int:  # noqa: N802
        """Its generation; 7 is Ampere."""
        return self._generation

    def nvmlDeviceGetTotalEnergyConsumption(self, _: int) -> int:  # noqa: N802
        """Counter [mJ]."""
        self._check(ENERGY)
        return round((self._joules(self._renewed()) - self._set_back_j) * 1e3 / len(self._names))

    def nvmlDeviceGetPowerUsage(self, _: int) -> int:  # noqa: N802
        """Mean power over the window [mW]."""
        self._check(AVERAGE)
        at = self._renewed()
        begin = max(at - self._window_s, self._since)
        if at <= begin:
            return round(self._history[-1][1] * 1e3 / len(self._names))
        mean_w = (self._joules(at) - self._joules(begin)) / (at - begin)
        return round(mean_w * 1e3 / len(self._names))

    def nvmlDeviceGetFieldValues(self, _: int, fields: Sequence[tuple[int, int]]) -> list[SimpleNamespace]:  # noqa: N802
        """Instant power [mW], with a return code of its own."""
        answers = []
        for field, _scope in fields:
            code = self.NVML_ERROR_NOT_SUPPORTED
            if field == self.NVML_FI_DEV_POWER_INSTANT and INSTANT not in self._unsupported:
                code = self._trouble
            mw = round(self._power(self._renewed()) * 1e3 / len(self._names))
            answers.append(SimpleNamespace(nvmlReturn=code, value=SimpleNamespace(uiVal=mw)))
        return answers

    def _check(self, what: str) -> None:
        if self._trouble:
            raise NVMLError(self._trouble)
        if what in self._unsupported:
            raise NVMLError(self.NVML_ERROR_NOT_SUPPORTED)

    def _renewed(self) -> float:
        return self._since + (time.monotonic() - self._since) // self._refresh_s * self._refresh_s

    def _power(self, at: float) -> float:
        return next((w for since, w, _ in reversed(self._history) if since <= at), self._history[0][1])

    def _joules(self, at: float) -> float:
        since, watts, before_j = next((h for h in reversed(self._history) if h[0] <= at), self._history[0])
        return before_j + watts * max(at - since, 0.0)
