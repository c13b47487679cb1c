"""Power as hwmon reports it on FPGA boards: INA226 and PMBus regulators; why PYNQ-Z1 and Z2 have none.

Makers: Texas Instruments INA226 (SBOS547); Infineon IRPS5401 (PMBus). Source of the ZCU104's wiring: Xilinx UG1267,
"Power management": INA226 at 0x40 over 5 mΩ is the board's 12 V input; IRPS5401 at 0x43 and 0x44 make the rails.
Layout: ``sys/bus/i2c/devices/BUS-ADDR/hwmon/hwmon*/``: ``name``, ``powerK_input`` [µW], ``powerK_label``.
Power is taken as reported and never computed from voltage and current: PMBus chips report power in 1/32 W, and currents
of rails at rest that make no sense (10 A at 0.16 V where the chip itself says 0.03 W).
Accuracy: INA226 0.1 % gain, 10 µV offset at most (SBOS547A, 6.5), power steps of 25 current steps (12.5 mW at 5 mΩ);
IRPS5401 not stated for power. Not yet met its hardware.
PYNQ-Z1 and PYNQ-Z2 have no current sensor at all: their XADC tells temperature and supply voltages only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.agent.meters.sysfs import Rail, Reading, SysfsMeter, number_of, text_of
from testbed.errors import MeterError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHIPS = "sys/bus/i2c/devices/*-*/hwmon/hwmon*"
_SHUNT_MONITORS = ("ina226", "ina219", "ina220", "ina230", "ina231", "ina260")
_REGULATORS = ("irps5401",)
_XADC_BOARDS = ("PYNQ-Z1", "PYNQ-Z2", "Zynq PYNQ", "Zynq Z1", "TUL-2")
# Rail names of the ZCU104 by the chip's address and the index of its power file; index 1 is the regulators' input.
_ZCU104: Mapping[str, Mapping[int, str]] = {
    "0040": {1: "12V"},
    "0043": {2: "INT", 3: "1V8", 4: "1V2", 5: "MGTA"},
    "0044": {2: "3V3", 3: "1V13", 4: "5V0", 5: "FMC", 6: "MGTRA"},
}
_INPUT = "12V"
_FULL_SCALE_UV = 81_920.0
_SHUNT_STEP_UV = 2.5


def find_hwmon(root: str) -> SysfsMeter:
    """Every power that the board's monitors report, as one meter.

    Raises:
        MeterError: there is none; says so of boards that are known to have no sensor.
    """
    base = Path(root)
    model = text_of(base / "proc/device-tree/model")
    rails = []
    for folder in sorted(base.glob(_CHIPS)):
        chip = text_of(folder / "name")
        if chip in _SHUNT_MONITORS or chip in _REGULATORS:
            rails += _rails(folder, "ZCU104" in model)
    if not rails:
        if any(word in model for word in _XADC_BOARDS):
            cure = "Assign an external meter to this board in the lab file"
            raise MeterError(f"{model} has no current sensor: energy on the board is unavailable", cure=cure)
        raise MeterError("no INA226 or IRPS5401 that reports power below /sys/bus/i2c/devices")
    names = [rail.name for rail in rails]
    whole = _INPUT in names
    scope = (
        "12 V input of the board; the regulators' rails are behind it"
        if whole
        else "no rail here is known to be the board's input, so none of them is its total"
    )
    about = {"scope": scope, "traits": traits(rails, whole)}
    return SysfsMeter(rails, [_INPUT] if whole else [], about)


def _rails(folder: Path, zcu104: bool) -> list[Rail]:
    address = folder.parents[1].name
    chip = text_of(folder / "name")
    known = _ZCU104.get(address.rpartition("-")[2], {}) if zcu104 else {}
    rails = []
    for file in sorted(folder.glob("power*_input")):
        index = int(file.name[len("power") : -len("_input")])
        if not text_of(file) or (known and index not in known):
            continue
        label = text_of(file.with_name(f"power{index}_label")) or f"power{index}"
        rails.append(
            Rail(known.get(index, f"{chip}@{address}:{label}"), (Reading(file),), 1e-6, _guards(folder))
        )
    return rails


def _guards(folder: Path) -> tuple[Reading, ...]:
    """The current of an INA226, which tells whether its shunt is at full scale; the power beside it does not."""
    current, shunt = folder / "curr1_input", number_of(folder / "shunt_resistor")
    if text_of(folder / "name") != "ina226" or not shunt or not text_of(current):
        return ()
    return (Reading(current, (_FULL_SCALE_UV - _SHUNT_STEP_UV) * 1e3 / shunt),)


def traits(rails: list[Rail], whole: bool) -> dict[str, Any]:
    """Its errors, in the terms of ``testbed.model.meter.MeterTraits``."""
    period_ns = 0
    known: dict[str, Any] = {}
    for rail in rails:
        folder = rail.readings[0].path.parent
        if text_of(folder / "name") in _REGULATORS:
            known[rail.name] = {"step_w": 1 / 32}
            continue
        period_ns = max(period_ns, round((number_of(folder / "update_interval") or 0.0) * 1e6))
        shunt = number_of(folder / "shunt_resistor")
        if shunt:
            known[rail.name] = {"step_w": 25 * _SHUNT_STEP_UV / shunt}
    return {
        "quantity": "average",
        "metered": "board" if whole else "rail",
        "period_ns": period_ns,
        "window_ns": period_ns,
        "delay_ns": period_ns // 2,
        "delay_bound_ns": period_ns // 2,
        "gain_frac": 0.001 / 3**0.5,
        "rails": known,
        "sources": {
            "period_ns": "update_interval of the chip's driver",
            "window_ns": "the same: the chip averages over it",
            "delay_ns": "half a period: read at any time within it",
            "delay_bound_ns": "half a period",
            "gain_frac": "SBOS547A (INA226) 6.5: 0.1 % at most; shunt tolerance not stated",
            "rails": "SBOS547A 8.5: power step 25 x 2.5 uV over the shunt; IRPS5401: 1/32 W as seen on ZCU104",
        },
    }
