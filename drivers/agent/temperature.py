"""Temperatures of Zynq chips, whose boards may have no other sensor; in °C.

Makers: AMD/Xilinx, XADC of Zynq-7000 (UG480) and AMS of Zynq UltraScale+ (UG580), through Linux' IIO:
``sys/bus/iio/devices/iio:device*/``, ``name`` ``xadc`` or ``xilinx-ams``/``ams``, ``in_temp*_{raw,offset,scale}``;
(raw + offset) * scale is in m°C (kernel, ABI/testing/sysfs-bus-iio). Accuracy: ±4 °C at most (DS187, DS925).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.agent.meters.sysfs import number_of, text_of

if TYPE_CHECKING:
    from pathlib import Path

_DEVICES = "sys/bus/iio/devices/iio:device*"
_NAMES = ("xadc", "ams", "xilinx-ams")


def chip_temperatures(root: Path) -> dict[str, float]:
    """What each of the chip's own sensors reads now, by channel; empty where there is none."""
    found = {}
    for device in sorted(root.glob(_DEVICES)):
        if text_of(device / "name") not in _NAMES:
            continue
        for file in sorted(device.glob("in_temp*_raw")):
            channel = file.name[: -len("_raw")]
            raw = number_of(file)
            offset = number_of(device / f"{channel}_offset")
            scale = number_of(device / f"{channel}_scale")
            if raw is not None and offset is not None and scale is not None:
                found[channel[len("in_") :]] = round((raw + offset) * scale / 1e3, 2)
    return found
