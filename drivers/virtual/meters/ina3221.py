"""Jetson modules' INA3221 monitors as files, for every board that the driver has a total for.

Labels, chips, layouts and nominal voltages as the modules' device trees have them; values are whole steps of the chip
(8 mV, 40 µV over the shunt). How the power divides over rails is assumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from drivers.virtual.meters.sysfs import SysfsTree

if TYPE_CHECKING:
    from pathlib import Path

_FULL_SCALE_UV = 163_800


class Channel(NamedTuple):
    """One input of a chip: label, volts, shunt [µΩ], its share of the total; behind the total where ``inside``."""

    label: str
    volts: float
    shunt: int
    share: float
    inside: bool = False


class Module(NamedTuple):
    """One board: text of its device-tree model, driver layout (``hwmon`` or ``iio``), chips by address, input chip."""

    model: str
    layout: str
    chips: dict[str, tuple[Channel, ...]]
    ina238: bool = False


_NC = Channel("NC", 0.0, 2000, 0.0)


def _behind(*labels: str, shunt: int = 5000) -> tuple[Channel, ...]:
    return tuple(Channel(label, 5.0, shunt, 0.3, inside=True) for label in labels)


_XAVIER_NX = (Channel("VDD_IN", 5.0, 5000, 1.0), *_behind("VDD_CPU_GPU_CV", "VDD_SOC"))
MODULES = {
    "nano": Module(
        "NVIDIA Jetson Nano Developer Kit",
        "iio",
        {"6-0040": (Channel("POM_5V_IN", 5.0, 5000, 1.0), *_behind("POM_5V_GPU", "POM_5V_CPU"))},
    ),
    "tx2": Module(
        "quill",
        "iio",
        {
            "0-0040": _behind("VDD_SYS_GPU", "VDD_SYS_SOC", "VDD_4V0_WIFI"),
            "0-0041": (Channel("VDD_IN", 19.0, 5000, 1.0), *_behind("VDD_SYS_CPU", "VDD_SYS_DDR")),
        },
    ),
    "xavier-nx-jp4": Module("NVIDIA Jetson Xavier NX Developer Kit", "iio", {"7-0040": _XAVIER_NX}),
    "xavier-nx": Module("NVIDIA Jetson Xavier NX Developer Kit", "hwmon", {"7-0040": _XAVIER_NX}),
    "agx-xavier": Module(
        "Jetson-AGX",
        "iio",
        {
            "1-0040": tuple(Channel(label, 19.0, 5000, 0.2) for label in ("GPU", "CPU", "SOC")),
            "1-0041": tuple(
                Channel(label, 5.0, 5000, s) for label, s in (("CV", 0.1), ("VDDRQ", 0.1), ("SYS5V", 0.2))
            ),
        },
    ),
    "orin-nano": Module("NVIDIA Jetson Orin Nano Developer Kit", "hwmon", {"1-0040": _XAVIER_NX}),
    "orin-nx": Module(
        "NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "hwmon", {"1-0040": _XAVIER_NX}
    ),
    "agx-orin": Module(
        "NVIDIA Jetson AGX Orin Developer Kit",
        "hwmon",
        {
            "1-0040": (
                Channel("VDD_GPU_SOC", 20.0, 2000, 0.4),
                Channel("VDD_CPU_CV", 20.0, 2000, 0.3),
                Channel("VIN_SYS_5V0", 5.0, 2000, 0.2),
            ),
            "1-0041": (_NC, Channel("VDDQ_VDD2_1V8AO", 5.0, 2000, 0.1), _NC),
        },
    ),
    "thor": Module(
        "NVIDIA Jetson AGX Thor Developer Kit",
        "hwmon",
        {"2-0040": _behind("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0", shunt=1000)},
        ina238=True,
    ),
}


class VirtualModule:
    """One board's monitors, and the methods of a rig."""

    def __init__(self, root: Path, board: str) -> None:
        """Lay the tree of a board in `MODULES` out below ``root``."""
        self.module = MODULES[board]
        self._w = 1.0
        self._inputs: list[str] = []
        files: dict[str, object] = {"proc/device-tree/model": self.module.model + "\0"}
        for number, (chip, channels) in enumerate(self.module.chips.items()):
            folder = self._folder(chip, number)
            if self.module.layout == "hwmon":
                files |= {f"{folder}/name": "ina3221", f"{folder}/samples": 1, f"{folder}/update_interval": 7}
                files |= {f"{folder}/in7_label": "sum of shunt voltages", f"{folder}/in7_input": 0}
            for k, channel in enumerate(channels):
                if self.module.layout == "hwmon":
                    files[f"{folder}/in{k + 1}_label"] = channel.label
                    files[f"{folder}/in{k + 1}_enable"] = 1
                    files[f"{folder}/shunt{k + 1}_resistor"] = channel.shunt
                else:
                    files[f"{folder}/rail_name_{k}"] = channel.label
        if self.module.ina238:
            files["sys/class/hwmon/hwmon0/name"] = "ina238"
        self._tree = SysfsTree(root, files)
        self.draw(self._w)

    def draw(self, watts: float) -> None:
        """Show so much on the rails of the total together."""
        self._w = watts
        self._inputs.clear()
        if self.module.ina238:
            self._put("sys/class/hwmon/hwmon0/power1_input", round(watts * 1e6))
        for number, (chip, channels) in enumerate(self.module.chips.items()):
            folder = self._folder(chip, number)
            for k, channel in enumerate(channels):
                self._show(folder, k, channel, watts * channel.share)

    def saturate(self) -> None:
        """Put full scale over the first shunt that has a share in the total."""
        for number, (chip, channels) in enumerate(self.module.chips.items()):
            for k, channel in enumerate(channels):
                if not channel.inside and channel.volts:
                    full = round(_FULL_SCALE_UV * 1e3 / channel.shunt)
                    self._tree.put(f"{self._folder(chip, number)}/curr{k + 1}_input", full)
                    return

    def garble(self) -> None:
        """Put text where a number belongs."""
        self._tree.disturb(self._inputs[0], "not a number\n")

    def mute(self) -> None:
        """Unbind the driver."""
        self._tree.hide()

    def mend(self) -> None:
        """Everything as before."""
        self._tree.restore()
        self.draw(self._w)

    def _folder(self, chip: str, number: int) -> str:
        if self.module.layout == "hwmon":
            return f"sys/bus/i2c/drivers/ina3221/{chip}/hwmon/hwmon{number + 1}"
        return f"sys/bus/i2c/drivers/ina3221x/{chip}/iio:device{number}"

    def _show(self, folder: str, k: int, channel: Channel, watts: float) -> None:
        step_ma = 40_000 / channel.shunt
        if self.module.layout == "hwmon":
            current = watts / channel.volts * 1e3 if channel.volts else 0.0
            self._put(f"{folder}/in{k + 1}_input", round(channel.volts * 1e3 / 8) * 8)
            self._put(f"{folder}/curr{k + 1}_input", round(round(current / step_ma) * step_ma))
        else:
            self._put(f"{folder}/in_power{k}_input", round(watts * 1e3))

    def _put(self, name: str, value: int) -> None:
        self._inputs.append(name)
        self._tree.put(name, value)
