"""A virtual INA3221: an hwmon folder whose files follow the board's load.

Chip: Texas Instruments INA3221, SBOS576B; three channels, 8 mV bus step, 40 µV shunt step. The board: 5 mΩ shunts as
on Jetson Orin NX and Orin Nano, so 8 mA steps (40 mW at 5 V). Accuracy of the emulation: one step plus dither of half
a step, a new value every window. The window is what the chip averages with ``samples`` = 4: 4 * 3 * (1.1 + 1.1) ms.
The files are plain files, so the agent's own reader reads them like sysfs; a real one would block for a conversion.
"""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.virtual.machine.config import Rail
    from drivers.virtual.machine.load import Load

VOLT_STEP_MV = 8
CURRENT_STEP_MA = 8
SHUNT_UOHM = 5000
SAMPLES = 4
WINDOW_S = SAMPLES * 3 * 2.2e-3
FOLDER = Path("sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3")


class VirtualIna3221:
    """Keeps the folder up to date from a thread of its own while it is open."""

    def __init__(self, root: Path, rails: Sequence[Rail], load: Load, *, seed: int = 0) -> None:
        """Write the folder once, at rest.

        Args:
            root: what the agent takes for ``/``.
            rails: at most three.
            load: what the board draws.
            seed: of the dither.
        """
        self._rails = rails[:3]
        self._load = load
        self._dither = random.Random(f"ina3221/{seed}")
        self._folder = root / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, int] = {}
        self._shown: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="ina3221", daemon=True)
        self._lay_out()

    def __enter__(self) -> VirtualIna3221:
        """Start following the load."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and let go of the files."""
        self._stop.set()
        self._thread.join(timeout=1.0)
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def show(self, work_w: float) -> None:
        """Put one window into the files: ``work_w`` is the mean power above idle in it [W]."""
        for k, rail in enumerate(self._rails, start=1):
            watts = rail.idle_frac * self._load.idle_w + rail.work_frac * work_w
            millivolts = _steps(rail.volts * 1e3, VOLT_STEP_MV, self._dither)
            milliamps = _steps(watts / rail.volts * 1e3, CURRENT_STEP_MA, self._dither)
            self._put(f"in{k}_input", millivolts)
            self._put(f"curr{k}_input", milliamps)

    def _follow(self) -> None:
        since, before_j = self._load.reading()
        while not self._stop.wait(WINDOW_S):
            now, work_j = (
                self._load.reading()
            )  # the wait is as long as the scheduler makes it: take the true span
            self.show((work_j - before_j) / max((now - since) / 1e9, 1e-9))
            since, before_j = now, work_j

    def _lay_out(self) -> None:
        fixed = {"name": "ina3221", "samples": str(SAMPLES), "update_interval": str(round(WINDOW_S * 1e3))}
        for k, rail in enumerate(self._rails, start=1):
            fixed |= {
                f"in{k}_label": rail.label,
                f"in{k}_enable": "1",
                f"shunt{k}_resistor": str(SHUNT_UOHM),
            }
        fixed["in7_label"] = "sum of shunt voltages"
        for name, text in fixed.items():
            (self._folder / name).write_text(f"{text}\n", encoding="ascii")
        for k in range(1, len(self._rails) + 1):
            for name in (f"in{k}_input", f"curr{k}_input"):
                self._files[name] = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self.show(0.0)

    def _put(self, name: str, value: int) -> None:
        text = f"{value}\n"
        before = self._shown.get(name)
        if text == before:
            return
        os.pwrite(self._files[name], text.encode("ascii"), 0)
        if before is not None and len(text) < len(before):
            os.ftruncate(self._files[name], len(text))
        self._shown[name] = text


def _steps(value: float, step: int, dither: random.Random) -> int:
    """The nearest multiple of a step after half a step of Gaussian noise, as noise of the chip's own would do."""
    return max(round((value + dither.gauss(0.0, 0.5 * step)) / step), 0) * step
