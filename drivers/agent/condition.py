"""How the board is right now: temperatures, clocks, and what throttles it; read between executions, never set.

Sources, all of the kernel: ``sys/class/thermal/thermal_zone*/{type,temp}`` in m°C and ``cooling_device*/{type,
cur_state}``, where a state above 0 cools, by a fan or by running slower (ABI/testing/sysfs-class-thermal);
``sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq`` in kHz (admin-guide/pm/cpufreq.rst);
``sys/class/devfreq/*/cur_freq`` in Hz (ABI/testing/sysfs-class-devfreq). Accuracy: that of each board's sensors, which
their makers seldom state.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from drivers.agent.meters.sysfs import number_of, text_of
from drivers.agent.settings import SettingError
from drivers.agent.temperature import chip_temperatures

if TYPE_CHECKING:
    from pathlib import Path

CONDITION = "condition"
_COLDEST_C, _HOTTEST_C = -50.0, 200.0


class Condition:
    """One name, read like a setting: ``condition``, JSON of ``temperature_c``, ``clock_hz`` and ``slowed``."""

    def __init__(self, root: Path) -> None:
        """Look below ``root``."""
        self._root = root

    def names(self) -> list[str]:
        """None: it can be asked for, but it is nothing to set."""
        return []

    def owns(self, name: str) -> bool:
        """Whether this is the name."""
        return name == CONDITION

    def touches(self, name: str) -> list[str]:
        """Nothing else."""
        return []

    def read(self, name: str) -> str:
        """What the board tells now; what it does not tell is left out."""
        told = {
            "temperature_c": {**_zones(self._root), **chip_temperatures(self._root)},
            "clock_hz": _clocks(self._root),
            "slowed": _slowed(self._root),
        }
        return json.dumps({key: value for key, value in told.items() if value}, separators=(",", ":"))

    def write(self, name: str, value: str) -> None:
        """Refuse.

        Raises:
            SettingError: always.
        """
        raise SettingError(f"{name} can only be read")


def _zones(root: Path) -> dict[str, float]:
    """Temperature of each thermal zone by its type; one that is switched off shows nonsense and is left out."""
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        raw = number_of(zone / "temp")
        if raw is not None and _COLDEST_C < raw / 1e3 < _HOTTEST_C:
            name = text_of(zone / "type") or zone.name
            found[name if name not in found else zone.name] = round(raw / 1e3, 2)
    return found


def _clocks(root: Path) -> dict[str, int]:
    """The fastest core's clock, and that of each devfreq device."""
    cores = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    known = [khz for khz in map(number_of, cores) if khz]
    found = {"cpu": round(max(known) * 1e3)} if known else {}
    for file in sorted((root / "sys/class/devfreq").glob("*/cur_freq")):
        hertz = number_of(file)
        if hertz:
            found[file.parent.name] = round(hertz)
    return found


def _slowed(root: Path) -> list[str]:
    """What cools now by making the board slower: every active cooling device that is no fan."""
    active = []
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = text_of(device / "type")
        if "fan" not in kind.lower() and (number_of(device / "cur_state") or 0) > 0:
            active.append(kind or device.name)
    return active
