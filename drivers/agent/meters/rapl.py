"""RAPL energy counters of x86 processors, through Linux' powercap.

Maker: Intel (SDM vol. 3B, 15.10 "Platform specific power management support"), AMD from family 17h on.
Layout: ``sys/class/powercap/intel-rapl:N/{name,energy_uj,max_energy_range_uj}``, parts of zone N in ``intel-rapl:N:M``.
What it is: counters in µJ that begin again at ``max_energy_range_uj``; renewed about every ms. ``package-N`` covers
cores and what is beside them on the chip; ``core`` and ``uncore`` are parts of it, ``dram`` is not. ``psys`` covers the
platform where the maker wired it, and is left out of the total. Board, disks, fans and power supply are not covered.
Accuracy: not stated by the makers; a model on some generations, a measurement since Haswell's server parts.
Since kernel 5.10 only root may read ``energy_uj`` (CVE-2020-8694).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.agent.meters.counter import Counters
from drivers.agent.meters.sysfs import number_of, text_of
from testbed.errors import MeterError, SampleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ZONES = "sys/class/powercap/intel-rapl:*"
_LEAST_NS = 5_000_000
_STILL_NS = 500_000_000
_AGAIN_SECONDS = 0.001


def find_rapl(root: str) -> Rapl:
    """The host's counters.

    Raises:
        MeterError: it has none, or they may not be read.
    """
    names: dict[str, Path] = {}
    for zone in sorted(Path(root).glob(_ZONES)):
        name = text_of(zone / "name")
        parent = zone.name.rpartition(":")[0]
        if parent.startswith("intel-rapl:"):
            name = f"{text_of(zone.parent / parent / 'name')}/{name}"
        if name and (zone / "energy_uj").exists():
            names[name] = zone
    if not names:
        raise MeterError(
            "no powercap zone intel-rapl:* in sysfs (virtual machine, or a processor without it)"
        )
    zone = next(iter(names.values()))
    if not os.access(str(zone / "energy_uj"), os.R_OK):
        cure = "Run the agent as root, or: sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj"
        raise MeterError("energy_uj may be read by root only (since kernel 5.10)", cure=cure)
    return Rapl(names)


class Rapl:
    """Mean power of every zone since the last reading."""

    waits = False

    def __init__(self, zones: Mapping[str, Path]) -> None:
        """Take zones by name."""
        self.rails: Sequence[str] = list(zones)
        self.total: Sequence[str] = [
            name
            for name in zones
            if name.startswith("package-") and ("/" not in name or name.endswith("/dram"))
        ]
        self.about: Mapping[str, object] = {
            "chip": "RAPL",
            "scope": "processor packages and memory where counted; board, disks, fans, supply not included",
            "traits": traits(),
        }
        self._zones = zones
        ranges = [number_of(zone / "max_energy_range_uj") for zone in zones.values()]
        self._counters = Counters([1e-6] * len(zones), ranges)
        self._period = 2 * _LEAST_NS
        self._earliest = 0
        self._seen: list[int] = []
        self._files: list[int] = []

    def start(self, period: int) -> None:
        """Open the counters.

        Raises:
            MeterError: one cannot be.
        """
        self.stop()
        self._period = max(period, 2 * _LEAST_NS)
        try:
            for zone in self._zones.values():
                self._files.append(os.open(str(zone / "energy_uj"), os.O_RDONLY))
        except OSError as error:
            self.stop()
            raise MeterError(f"{error.filename} cannot be opened: {error.strerror}") from error

    def read(self, now: Callable[[], int]) -> tuple[int, list[float]]:
        """Mean watts since the last reading; the first takes two, one period apart.

        Raises:
            SampleError: a counter shows no number, or went back without a wrap, or none of them moves.
            MeterError: it is gone, or was never started.
        """
        if not self._files:
            raise MeterError("the meter is not started")
        if self._counters.fresh:
            self._begin(now)
        # Two readings within a renewal would show 0 W, and what was drawn meanwhile in the next.
        time.sleep(max(self._earliest - time.monotonic_ns(), 0) / 1e9)
        counts = self._counts()
        while counts == self._seen:
            if time.monotonic_ns() - self._earliest > _STILL_NS:
                raise SampleError(SampleError.NO_ANSWER, "the counters stand still")
            time.sleep(_AGAIN_SECONDS)
            counts = self._counts()
        stamp = now()
        self._earliest = time.monotonic_ns() + self._period // 2
        self._seen = counts
        return stamp, self._counters.advance(stamp, counts)

    def _begin(self, now: Callable[[], int]) -> None:
        self._seen = self._counts()
        self._counters.begin(now(), self._seen)
        self._earliest = time.monotonic_ns() + self._period

    def stop(self) -> None:
        """Close the counters."""
        for fd in self._files:
            os.close(fd)
        self._files = []
        self._counters.forget()

    def _counts(self) -> list[int]:
        counts = []
        for fd in self._files:
            try:
                text = os.pread(fd, 32, 0)
            except OSError as error:
                raise MeterError(f"the counter is gone: {error.strerror}") from error
            if not text:
                raise MeterError("the counter's file is empty")
            if not text.strip().isdigit():
                self._counters.forget()
                raise SampleError(SampleError.GARBAGE, f"no count: {text[:20]!r}")
            counts.append(int(text))
        return counts


def traits() -> dict[str, Any]:
    """Its errors, in the terms of ``testbed.model.meter.MeterTraits``."""
    return {
        "quantity": "counter",
        "metered": "chip",
        "period_ns": 1_000_000,
        "delay_ns": 500_000,
        "delay_bound_ns": 500_000,
        "rails": {"": {"step_j": 2.0**-14}},
        "sources": {
            "period_ns": "Intel SDM vol. 3B 15.10.3: updated about every 1 ms",
            "delay_ns": "half a period: read at any time within it",
            "delay_bound_ns": "half a period",
            "rails": "Intel SDM vol. 3B 15.10.1: default energy unit 2^-14 J (15.3 uJ or 61 uJ by generation)",
        },
    }
