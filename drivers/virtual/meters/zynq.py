"""FPGA boards' sensors as files: ZCU104 with its INA226 and PMBus regulators, PYNQ-Z2 with nothing but its XADC.

Regulator rails show what PMBus chips show at rest: steps of 1/32 W, and a current that does not fit the power.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.virtual.meters.sysfs import SysfsTree

if TYPE_CHECKING:
    from pathlib import Path

_I2C = "sys/bus/i2c/devices"
_INA226 = f"{_I2C}/3-0040/hwmon/hwmon0"
_SHUNT_UOHM = 5000
_POWER_STEP_UW = 12_500


class VirtualZcu104:
    """The board's monitors, and the methods of a rig."""

    def __init__(self, root: Path) -> None:
        """Lay the tree out below ``root``."""
        self._w = 14.4
        files: dict[str, object] = {
            "proc/device-tree/model": "ZynqMP ZCU104 RevC\0",
            f"{_INA226}/name": "ina226",
            f"{_INA226}/shunt_resistor": _SHUNT_UOHM,
            f"{_INA226}/update_interval": 2,
        }
        for number, (address, last) in enumerate((("0043", 5), ("0044", 6)), start=1):
            folder = f"{_I2C}/4-{address}/hwmon/hwmon{number}"
            files[f"{folder}/name"] = "irps5401"
            files[f"{folder}/power1_label"] = "pin"
            files[f"{folder}/power1_input"] = 0
            for index in range(2, last + 1):
                files[f"{folder}/power{index}_label"] = f"pout{index - 1}"
                files[f"{folder}/power{index}_input"] = 31_250 * index
                files[f"{folder}/curr{index}_input"] = 10_000
                files[f"{folder}/in{index}_input"] = 160
        self._tree = SysfsTree(root, files)
        self.draw(self._w)

    def draw(self, watts: float) -> None:
        """Draw so much from the 12 V input."""
        self._w = watts
        self._tree.put(f"{_INA226}/in1_input", 12_000)
        self._tree.put(f"{_INA226}/curr1_input", round(watts / 12.0 * 1e3))
        self._tree.put(f"{_INA226}/power1_input", round(watts * 1e6 / _POWER_STEP_UW) * _POWER_STEP_UW)

    def saturate(self) -> None:
        """Put full scale, 81.92 mV, over the shunt."""
        self._tree.put(f"{_INA226}/curr1_input", round(81_920 * 1e3 / _SHUNT_UOHM))

    def garble(self) -> None:
        """Put text where a number belongs."""
        self._tree.disturb(f"{_INA226}/power1_input", "?\n")

    def mute(self) -> None:
        """Unbind the drivers."""
        self._tree.hide()

    def mend(self) -> None:
        """Everything as before."""
        self._tree.restore()
        self.draw(self._w)


def lay_out_pynq_z2(root: Path, *, celsius: float = 45.0) -> SysfsTree:
    """The XADC of a PYNQ-Z2: temperature and supply voltages, no current."""
    device = "sys/bus/iio/devices/iio:device0"
    scale = 123.040771484  # m°C a step, as the kernel gives it: 503.975 / 4096
    return SysfsTree(
        root,
        {
            "proc/device-tree/model": "TUL PYNQ-Z2\0",
            f"{device}/name": "xadc",
            f"{device}/in_temp0_offset": -2219,
            f"{device}/in_temp0_scale": scale,
            f"{device}/in_temp0_raw": round(celsius * 1e3 / scale) + 2219,
            f"{device}/in_voltage0_vccint_raw": 1365,
            f"{device}/in_voltage0_vccint_scale": 0.732421875,
        },
    )
