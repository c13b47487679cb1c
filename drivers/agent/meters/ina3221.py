"""INA3221 three-channel monitors as Linux shows them in sysfs.

Maker: Texas Instruments, INA3221 (SBOS576), used on NVIDIA Jetson modules and carriers.
Layouts: hwmon (mainline driver, JetPack 5 and later) ``sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/``: ``inK_label``,
``inK_input`` [mV], ``currK_input`` [mA], K = 1..3, power is their product; IIO (JetPack 4)
``sys/bus/i2c/drivers/ina3221x/*/iio:device*/``: ``rail_name_K``, ``in_powerK_input`` [mW], K = 0..2.
Accuracy: current steps are 40 uV over the shunt (8 mA on 5 mOhm, 20 mA on 2 mOhm), voltage steps 8 mV.
Voltage and current are not of the same instant: a full conversion cycle takes 6.6 ms by default, and a read
waits for it. Channels labelled ``NC`` are not connected; a disabled channel answers ENODATA; both are left
out. ``in7`` (sum of shunt voltages) is no rail. Rails of several chips are told apart by the chip's address
where names collide.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_HWMON = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"
_IIO = "sys/bus/i2c/drivers/ina3221x/*/iio:device*"


class Ina3221:
    """Every connected rail of every INA3221 on the board; files stay open between readings.

    Attributes:
        rails: labels as the board's device tree gives them.
    """

    def __init__(self, root: str) -> None:
        """Open the rails below ``root``; there may be none."""
        found = _hwmon_rails(Path(root)) + _iio_rails(Path(root))
        names = [name for name, _, _ in found]
        self.rails = [name if names.count(name) == 1 else f"{name}@{chip}" for name, chip, _ in found]
        self._files = [tuple(os.open(str(path), os.O_RDONLY) for path in paths) for _, _, paths in found]

    def read(self, now_ns: Callable[[], int]) -> tuple[int, list[float]]:
        """Watts of each rail, stamped in the middle of the readings.

        Raises:
            OSError: a rail was disabled meanwhile, or the chip does not answer.
            ValueError: a file holds no number.
        """
        before = now_ns()
        watts = []
        for files in self._files:
            if len(files) == 1:
                watts.append(_read(files[0]) / 1e3)
            else:
                watts.append(_read(files[0]) * _read(files[1]) / 1e6)
        return (before + now_ns()) // 2, watts

    def close(self) -> None:
        """Close the files."""
        for files in self._files:
            for fd in files:
                os.close(fd)
        self._files = []


def find_ina3221(root: str) -> Ina3221 | None:
    """The board's meter, or ``None`` where no rail is connected."""
    meter = Ina3221(root)
    return meter if meter.rails else None


def _hwmon_rails(root: Path) -> list[tuple[str, str, tuple[Path, ...]]]:
    rails: list[tuple[str, str, tuple[Path, ...]]] = []
    for folder in sorted(root.glob(_HWMON)):
        chip = folder.parents[1].name
        for channel in (1, 2, 3):
            label = _text(folder / f"in{channel}_label")
            paths = (folder / f"in{channel}_input", folder / f"curr{channel}_input")
            if label and label != "NC" and all(_text(path) for path in paths):
                rails.append((label, chip, paths))
    return rails


def _iio_rails(root: Path) -> list[tuple[str, str, tuple[Path, ...]]]:
    rails: list[tuple[str, str, tuple[Path, ...]]] = []
    for folder in sorted(root.glob(_IIO)):
        for channel in (0, 1, 2):
            label = _text(folder / f"rail_name_{channel}")
            path = folder / f"in_power{channel}_input"
            if label and label != "NC" and _text(path):
                rails.append((label, folder.parent.name, (path,)))
    return rails


def _text(path: Path) -> str:
    """A file's text, empty where it is missing or answers with an error such as ENODATA."""
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _read(fd: int) -> float:
    return float(os.pread(fd, 32, 0))
