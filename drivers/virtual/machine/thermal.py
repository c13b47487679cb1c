"""A virtual board's heat: one zone that follows the load, a trip, and clocks that go down above it.

First order: at a steady power the zone goes to ``ambient_c + kelvin_per_w * watts`` with the time constant ``tau_s``.
At ``trip_c`` a cooling device takes the clock down to ``slow_frac`` of it, until the zone is `HYSTERESIS_C` below; a
slower board takes that much longer for the same work, and draws that much less above idle.

Files as Linux has them (ABI/testing/sysfs-class-thermal, sysfs-class-devfreq), with a Jetson's names:
``thermal_zone0`` of type ``tj-thermal``, ``cooling_device0`` of type ``gpu-throttle-alert``, and the GPU's devfreq.
No board was measured for this: the figures are whatever the lab file says, so they are assumed, and emulated.
"""

from __future__ import annotations

import math
import os
import threading
from typing import TYPE_CHECKING, Annotated, TypeAlias

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.virtual.machine.load import Load

STEP_S = 0.05
HYSTERESIS_C = 2.0
ZONE = "sys/class/thermal/thermal_zone0"
COOLER = "sys/class/thermal/cooling_device0"
GPU = "sys/class/devfreq/17000000.gpu"

_Positive: TypeAlias = Annotated[float, Meta(gt=0)]
_Share: TypeAlias = Annotated[float, Meta(gt=0, le=1)]


class Heat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lab file's ``virtual.heat`` table: how a virtual board warms up.

    Attributes:
        ambient_c: temperature without any power. kelvin_per_w: what a watt adds in the end. tau_s: time constant.
        trip_c: from here on it is throttled. slow_frac: clock that is left then, a share. clock_hz: in full.
    """

    ambient_c: float = 25.0
    kelvin_per_w: _Positive = 4.0
    tau_s: _Positive = 20.0
    trip_c: float = 85.0
    slow_frac: _Share = 0.5
    clock_hz: _Positive = 918e6


class VirtualThermal:
    """Keeps the files up to date from a thread of its own while it is open.

    Attributes:
        celsius: of the zone. throttled: whether the clock is down.
    """

    def __init__(self, root: Path, heat: Heat, load: Load) -> None:
        """Write the files once, at the temperature of rest.

        Args:
            root: what the agent takes for ``/``. load: what the board draws.
        """
        self._root = root
        self._heat = heat
        self._load = load
        self.celsius = heat.ambient_c + heat.kelvin_per_w * load.idle_w
        self.throttled = False
        self._since, self._work_j = load.reading()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="thermal", daemon=True)
        for path, text in ((f"{ZONE}/type", "tj-thermal"), (f"{COOLER}/type", "gpu-throttle-alert")):
            self._put(path, text)
        self._show()

    def __enter__(self) -> VirtualThermal:
        """Start following the load."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    @property
    def slowness(self) -> float:
        """How much longer than at full clocks an execution takes that begins now."""
        return 1 / self._heat.slow_frac if self.throttled else 1.0

    def step(self) -> None:
        """Take the heat of the time since the last step, and show the result."""
        heat = self._heat
        now, work_j = self._load.reading()
        took_s = max((now - self._since) / 1e9, 1e-9)
        watts = self._load.idle_w + (work_j - self._work_j) / took_s
        self._since, self._work_j = now, work_j
        end_c = heat.ambient_c + heat.kelvin_per_w * watts
        self.celsius = end_c + (self.celsius - end_c) * math.exp(-took_s / heat.tau_s)
        limit = heat.trip_c - HYSTERESIS_C if self.throttled else heat.trip_c
        self.throttled = self.celsius >= limit
        self._load.scale(heat.slow_frac if self.throttled else 1.0)
        self._show()

    def _follow(self) -> None:
        while not self._stop.wait(STEP_S):
            self.step()

    def _show(self) -> None:
        clock = self._heat.clock_hz * (self._heat.slow_frac if self.throttled else 1.0)
        self._put(f"{ZONE}/temp", str(round(self.celsius * 1e3)))
        self._put(f"{COOLER}/cur_state", str(int(self.throttled)))
        self._put(f"{GPU}/cur_freq", str(round(clock)))

    def _put(self, path: str, text: str) -> None:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}")
        fresh.write_text(f"{text}\n", encoding="ascii")
        os.replace(fresh, file)  # noqa: PTH105 - no reader ever finds it empty
