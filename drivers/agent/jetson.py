"""What a Jetson says it is, its power mode and its clocks.

Sources: ``/etc/nv_tegra_release`` (``# R36 (release), REVISION: 4.3, ...``), ``/proc/device-tree/model``
(NUL-ended), ``nvpmodel -q`` (``NV Power Mode: MAXN``, then the id on its own line) and ``nvpmodel -m ID``
(NVIDIA Jetson Linux Developer Guide); ``/sys/class/devfreq/*/{cur,min,max}_freq`` [Hz] (kernel,
ABI/testing/sysfs-class-devfreq).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from drivers.agent.settings import SettingError, output_of

if TYPE_CHECKING:
    from pathlib import Path

POWER_MODE = "power-mode"
CLOCK = "clock:"
_RELEASE = re.compile(r"#\s*R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)")
_COMMAND_SECONDS = 20
_READ_SECONDS = 5


def identity(root: Path) -> dict[str, str]:
    """``model`` and ``l4t`` where this is a Jetson, else an empty mapping."""
    release = _RELEASE.search(_text(root / "etc/nv_tegra_release"))
    if release is None:
        return {}
    model = _text(root / "proc/device-tree/model").rstrip("\0").strip()
    return {"model": model, "l4t": f"{release.group(1)}.{release.group(2)}"}


class JetsonKnobs:
    """Power mode (its id) and devfreq clocks (``MIN:MAX`` in Hz), by the names ``power-mode`` and ``clock:DEVICE``."""

    def __init__(self, root: Path, *, nvpmodel: str = "nvpmodel") -> None:
        """Look below ``root``; ``nvpmodel`` is found on PATH."""
        self._devfreq = root / "sys/class/devfreq"
        self._nvpmodel = nvpmodel

    def names(self) -> list[str]:
        """Settings that this board answers to."""
        clocks = [CLOCK + path.parent.name for path in sorted(self._devfreq.glob("*/cur_freq"))]
        try:
            self._power_mode()
        except SettingError:
            return clocks
        return [POWER_MODE, *clocks]

    def owns(self, name: str) -> bool:
        """Whether such a setting is one of these, there or not."""
        return name == POWER_MODE or name.startswith(CLOCK)

    def read(self, name: str) -> str:
        """The value that holds now; a clock also tells its current frequency, as ``MIN:MAX:CURRENT``.

        Raises:
            SettingError: no such setting, or it cannot be read.
        """
        if name == POWER_MODE:
            return self._power_mode()
        folder = self._clock(name)
        return ":".join(_text(folder / part) for part in ("min_freq", "max_freq", "cur_freq"))

    def write(self, name: str, value: str) -> None:
        """Set.

        Raises:
            SettingError: no such setting, a malformed value, or the board refused it.
        """
        if name != POWER_MODE:
            self._set_clock(self._clock(name), value)
            return
        if not re.fullmatch(r"\d{1,3}", value):
            raise SettingError(f"a power mode is a number, not {value!r}")
        self._run("-m", value, seconds=_COMMAND_SECONDS)

    def _power_mode(self) -> str:
        lines = self._run("-q", seconds=_READ_SECONDS).splitlines()
        for line in reversed(lines):
            if line.strip().isdigit():
                return line.strip()
        raise SettingError(f"nvpmodel -q named no mode: {' / '.join(lines)[:200]}")

    def _run(self, *arguments: str, seconds: float) -> str:
        return output_of([self._nvpmodel, *arguments], seconds)

    def _clock(self, name: str) -> Path:
        device = name[len(CLOCK) :]
        folder = self._devfreq / device
        known = {path.parent.name for path in self._devfreq.glob("*/cur_freq")}
        if not name.startswith(CLOCK) or device not in known:
            raise SettingError(f"this board has no setting {name!r}")
        return folder

    def _set_clock(self, folder: Path, value: str) -> None:
        match = re.fullmatch(r"(\d+):(\d+)(?::\d+)?", value)
        if match is None or int(match.group(1)) > int(match.group(2)):
            raise SettingError(f"a clock is set by MIN:MAX in Hz, not by {value!r}")
        low, high = match.group(1), match.group(2)
        order = [("min_freq", low), ("max_freq", high)]
        if int(low) > int(_text(folder / "max_freq") or 0):
            order.reverse()  # the kernel refuses a minimum above the maximum
        try:
            for part, number in order:
                (folder / part).write_text(number, "ascii")
        except OSError as error:
            raise SettingError(f"{folder.name} refused {value}: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
