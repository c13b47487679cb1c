"""What a Jetson says it is, its power mode and its clocks.

Sources: ``/etc/nv_tegra_release`` (``# R36 (release), REVISION: 4.3, ...``), ``/proc/device-tree/model``
(NUL-ended), ``nvpmodel -q`` (``NV Power Mode: MAXN``, then the id on its own line; warnings and, for ordinary users,
errors around it) and ``nvpmodel -m ID`` (NVIDIA Jetson Linux Developer Guide). A mode that needs a reboot is asked
about on standard input (``Reboot required for changing to this power mode``), and its end leaves the mode as it was;
the exit code does not tell in all releases, so the mode is read back. A mode sets the limits of clocks
(``MAX_FREQ`` in ``/etc/nvpmodel.conf``): ``/sys/class/devfreq/*/{cur,min,max}_freq`` [Hz] (kernel,
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
_CLOCK = re.compile(r"(\d+):(\d+)(?::\d*)?")
_MODE = re.compile(r"0*(\d{1,3})(?: \(.*\))?")
_MODELS = re.compile(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", re.MULTILINE)
_NAMED = re.compile(r"NV Power Mode:\s*(\S+)")
_REBOOT = "Reboot required"
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
    """Power mode (its id) and devfreq clocks (``MIN:MAX`` in Hz), by the names ``power-mode`` and ``clock:DEVICE``.

    A mode that holds is told with its name, ``2 (MAXN)``, and taken so too.
    """

    def __init__(self, root: Path, *, nvpmodel: str = "nvpmodel") -> None:
        """Look below ``root``; ``nvpmodel`` is found on PATH."""
        self._devfreq = root / "sys/class/devfreq"
        self._conf = root / "etc/nvpmodel.conf"
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

    def touches(self, name: str) -> list[str]:
        """A power mode sets the limits of clocks, whatever they were before (``jetson_clocks`` for one)."""
        if name != POWER_MODE:
            return []
        clocks = [CLOCK + path.parent.name for path in sorted(self._devfreq.glob("*/cur_freq"))]
        return [clock for clock in clocks if _CLOCK.fullmatch(self.read(clock))]

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
        asked = _MODE.fullmatch(value)
        if asked is None:
            raise SettingError(f"a power mode is a number, not {value!r}")
        if self._mode()[0] != asked.group(
            1
        ):  # asked for what holds, some releases want a reboot all the same
            self._set_mode(asked.group(1))

    def _set_mode(self, number: str) -> None:
        try:
            said = self._run("-m", number, seconds=_COMMAND_SECONDS)
        except SettingError as error:
            said = str(error)
        else:
            held = self._mode()[0]
            if held == number:
                return
            said = f"nvpmodel -m {number} left mode {held}: {said.strip() or 'it said nothing'}"
        if _REBOOT in said:
            raise SettingError(
                f"power mode {number} needs a reboot of the board. Set it there by hand: nvpmodel -m {number}"
            )
        known = ", ".join(f"{number} ({name})" for number, name in _MODELS.findall(_text(self._conf)))
        raise SettingError(said + (f". There are {known}" if known else ""))

    def _power_mode(self) -> str:
        number, name = self._mode()
        return f"{number} ({name})" if name else number

    def _mode(self) -> tuple[str, str]:
        """Id and name of the mode that holds, the name empty where it is not told."""
        lines = self._run("-q", seconds=_READ_SECONDS).splitlines()
        for line in reversed(lines):
            if line.strip().isdigit():
                name = next((text for text in map(_NAMED.search, lines) if text), None)
                return str(int(line)), name.group(1) if name else ""
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
        match = _CLOCK.fullmatch(value)
        if match is None or int(match.group(1)) > int(match.group(2)):
            raise SettingError(f"a clock is set by MIN:MAX in Hz, not by {value!r}")
        low, high = match.group(1), match.group(2)
        if (low, high) == (_text(folder / "min_freq"), _text(folder / "max_freq")):
            return  # nothing to do, also for who may not
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
