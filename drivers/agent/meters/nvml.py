"""NVIDIA GPUs through NVML, by the maker's own Python module ``nvidia-ml-py`` (imported as ``pynvml``).

Maker: NVIDIA, NVML API Reference Guide. In the order of preference, what every GPU of the board answers to:

===========  ===========================================================================================
``energy``   ``nvmlDeviceGetTotalEnergyConsumption`` [mJ since the driver was loaded], Volta and later
``instant``  field ``NVML_FI_DEV_POWER_INSTANT`` [mW], scope GPU
``average``  ``nvmlDeviceGetPowerUsage`` [mW]: a mean over a second from Ampere on (GA100 apart), else instant
===========  ===========================================================================================

All of them are renewed every 10 to 100 ms only, which is probed here. What a device does not support is left out with
the reason, never 0. On Jetson the library loads and answers NotSupported: there the INA3221 is the meter.
Accuracy: 5 % (``nvidia-smi``'s manual says 5 W); on A100 and H100 the power sensor looks a quarter of the time only
(Yang, Adamek, Armour, SC 2024, arXiv:2312.02741). Covers the card: the host around it is not included.
The old project ``pynvml``, a package of the same import name, lacks what is needed and is told from it.
"""

from __future__ import annotations

import importlib
import re
import statistics
import time
from typing import TYPE_CHECKING, Any

from drivers.agent.meters.counter import Counters
from testbed.errors import MeterError, SampleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ENERGY, INSTANT, AVERAGE = "energy", "instant", "average"
_GA100 = re.compile(r"\b(A100|A800|A30)\b")
_PROBE_SECONDS = 0.5
_PROBE_STEP_SECONDS = 0.001
_STILL_SECONDS = 1.0
_INSTALL = "python3 -m pip install nvidia-ml-py"


def find_nvml(root: str) -> Nvml:
    """The GPUs of this host.

    Raises:
        MeterError: no library, no driver, no GPU, or none that tells energy or power.
    """
    if root != "/":
        raise MeterError("not looked for below another root: NVML tells of this host's GPUs only")
    return Nvml(load_library())


def load_library() -> Any:  # noqa: ANN401 - a foreign module
    """NVIDIA's module.

    Raises:
        MeterError: it is not installed, or the old project stands in its place.
    """
    try:
        library = importlib.import_module("pynvml")
    except ImportError as error:
        raise MeterError("nvidia-ml-py is not installed for this Python", cure=_INSTALL) from error
    if hasattr(library, "__path__"):  # NVIDIA's is a single file, the old project a package
        cure = f"python3 -m pip uninstall pynvml; {_INSTALL}"
        raise MeterError("the old project `pynvml` is installed in place of NVIDIA's", cure=cure)
    return library


class Nvml:
    """One rail a GPU. Energy counters give the mean power since the last sample, whenever they are renewed."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401
        """Look for GPUs, find out what they tell, and probe how often it is renewed.

        Raises:
            MeterError: none that tells energy or power.
        """
        self._nvml = library
        try:
            library.nvmlInit()
            count = library.nvmlDeviceGetCount()
            self._gpus = [library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
            names = [_text(library.nvmlDeviceGetName(gpu)) for gpu in self._gpus]
        except library.NVMLError as error:
            raise MeterError(f"NVML: {error}", cure="See what `nvidia-smi` says on the board") from error
        if not self._gpus:
            raise MeterError("NVML knows no GPU")
        self.mode, reasons = self._choose()
        self.rails: Sequence[str] = [f"gpu{index}" for index in range(count)]
        self.total: Sequence[str] = list(self.rails)
        self.waits = self.mode == ENERGY
        self._counters = Counters([1e-3] * count, [None] * count)
        self._period_s = 0.0
        self._running = False
        self._last = -(1 << 63)
        self._seen: list[int] = []
        refresh_s = self._probe()
        self.about: Mapping[str, object] = {
            "gpus": names,
            "reads": self.mode,
            "refresh_ms": None if refresh_s is None else round(refresh_s * 1e3, 1),
            "not_supported": reasons,
            "scope": "GPU cards; the host's processors, memory, fans and supply not included",
            "traits": self._traits(refresh_s),
        }

    def start(self, period: int) -> None:
        """Begin; a period shorter than the refresh gives one sample a refresh from energy counters.

        Raises:
            MeterError: the GPUs do not answer.
        """
        self._period_s = period / 1e9
        self._counters.forget()
        self._running = True
        try:
            self._values()
        except SampleError as error:
            raise MeterError(str(error)) from error

    def read(self, now: Callable[[], int]) -> tuple[int, list[float]]:
        """Watts of each GPU.

        Raises:
            SampleError: the driver gives no answer, or a counter stands still or goes back.
            MeterError: a GPU is lost, or the meter was never started.
        """
        if not self._running:
            raise MeterError("the meter is not started")
        if self.mode != ENERGY:
            before = now()
            watts = [value / 1e3 for value in self._values()]
            self._last = max((before + now()) // 2, self._last + 1)
            return self._last, watts
        if self._counters.fresh:
            self._await_renewal(self._values())
            self._counters.begin(now(), self._seen)
        time.sleep(min(self._period_s, _STILL_SECONDS) * 0.5)
        self._await_renewal(self._seen)
        self._last = max(now(), self._last + 1)
        return self._last, self._counters.advance(self._last, self._seen)

    def stop(self) -> None:
        """No more reading; the library stays."""
        self._running = False

    def _await_renewal(self, old: list[int]) -> None:
        """Wait until every GPU's counter is another than in ``old``; what was read last is in ``_seen``."""
        limit = time.monotonic() + _STILL_SECONDS
        while True:
            self._seen = self._values()
            if all(new != before for new, before in zip(self._seen, old)):
                return
            if time.monotonic() > limit:
                text = f"an energy counter stood still for {_STILL_SECONDS:g} s"
                raise SampleError(SampleError.NO_ANSWER, text)
            time.sleep(_PROBE_STEP_SECONDS)

    def _values(self) -> list[int]:
        return [self._value(gpu, self.mode) for gpu in self._gpus]

    def _value(self, gpu: Any, mode: str) -> int:  # noqa: ANN401
        """Counter [mJ] or power [mW] of one GPU."""
        nvml = self._nvml
        try:
            if mode == ENERGY:
                return int(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu))
            if mode == AVERAGE:
                return int(nvml.nvmlDeviceGetPowerUsage(gpu))
            (field,) = nvml.nvmlDeviceGetFieldValues(gpu, [(nvml.NVML_FI_DEV_POWER_INSTANT, 0)])
            if field.nvmlReturn != nvml.NVML_SUCCESS:
                raise nvml.NVMLError(field.nvmlReturn)
            return int(field.value.uiVal)
        except nvml.NVMLError as error:
            code = getattr(error, "value", None)
            if code in (nvml.NVML_ERROR_TIMEOUT, nvml.NVML_ERROR_UNKNOWN):
                raise SampleError(SampleError.NO_ANSWER, f"NVML: {error}") from error
            raise MeterError(f"NVML: {error}") from error

    def _choose(self) -> tuple[str, dict[str, str]]:
        """The best that every GPU tells, and why better ones are left out."""
        reasons: dict[str, str] = {}
        for mode in (ENERGY, INSTANT, AVERAGE):
            reason = self._refusal(mode)
            if not reason:
                return mode, reasons
            reasons[mode] = reason
        told = "; ".join(f"{mode}: {reason}" for mode, reason in reasons.items())
        raise MeterError(f"no GPU tells energy or power ({told})")

    def _refusal(self, mode: str) -> str:
        """Why not every GPU tells this, or an empty string."""
        try:
            for gpu in self._gpus:
                self._value(gpu, mode)
        except (MeterError, AttributeError) as error:  # an old module lacks the newer names
            return str(error)
        return ""

    def _probe(self) -> float | None:
        """Seconds from one new value to the next, ``None`` where fewer than three were seen."""
        changes: list[float] = []
        old = None
        limit = time.monotonic() + _PROBE_SECONDS
        while (at := time.monotonic()) < limit and len(changes) < 12:
            value = self._value(self._gpus[0], self.mode)
            if old is not None and value != old:
                changes.append(at)
            old = value
            time.sleep(_PROBE_STEP_SECONDS)
        if len(changes) < 3:
            return None
        return statistics.median(later - earlier for earlier, later in zip(changes, changes[1:]))

    def _averaged(self) -> bool:
        """Whether ``nvmlDeviceGetPowerUsage`` is a mean over a second: from Ampere on, GA100 apart."""
        nvml = self._nvml
        try:
            generation = nvml.nvmlDeviceGetArchitecture(self._gpus[0])
            name = _text(nvml.nvmlDeviceGetName(self._gpus[0]))
        except (nvml.NVMLError, AttributeError):
            return True
        return generation >= nvml.NVML_DEVICE_ARCH_AMPERE and not _GA100.search(name)

    def _traits(self, refresh_s: float | None) -> dict[str, Any]:
        """Its errors, in the terms of ``testbed.model.meter.MeterTraits``."""
        period = round((0.1 if refresh_s is None else refresh_s) * 1e9)
        source = "probed at the start of the agent"
        if refresh_s is None:
            source = "assumed: the slowest known, since no change was seen"
        quantity = {
            ENERGY: "counter",
            INSTANT: "instant",
            AVERAGE: "average" if self._averaged() else "instant",
        }
        known: dict[str, Any] = {
            "quantity": quantity[self.mode],
            "metered": "rail",
            "period_ns": period,
            "delay_bound_ns": period if self.mode == ENERGY else period // 2,
            "gain_frac": 0.05 / 3**0.5,
            "rails": {"": {"step_j": 1e-3} if self.mode == ENERGY else {"step_w": 1e-3}},
            "sources": {
                "period_ns": source,
                "delay_bound_ns": "one period for counters read at their renewal, half of one for powers",
                "gain_frac": "arXiv:2312.02741: within 5 % on most of over 70 GPUs",
                "rails": "NVML API Reference: mJ, mW",
            },
        }
        if self.mode != ENERGY:
            known["delay_ns"] = period // 2
            known["sources"]["delay_ns"] = "half a period: read at any time within it"
        if known["quantity"] == "average":
            known["window_ns"] = 1_000_000_000
            known["sources"]["window_ns"] = "NVML API Reference, nvmlDeviceGetPowerUsage: 1 s from Ampere on"
        return known


def _text(value: Any) -> str:  # noqa: ANN401 - bytes in old versions of the module
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
