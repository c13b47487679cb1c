"""INA3221 three-channel monitors, and the INA238 on a Thor's input, as Linux shows them in sysfs.

Maker: Texas Instruments, INA3221 (SBOS576B) on NVIDIA Jetson modules and carriers; INA238 (SBOSA20) on Jetson Thor.
Layouts: hwmon (mainline driver, JetPack 5 and later) ``sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/``: ``inK_label``,
``inK_enable``, ``inK_input`` [mV], ``currK_input`` [mA], ``shuntK_resistor`` [µΩ], K = 1..3; there is no power file,
power is their product. IIO (JetPack 4) ``sys/bus/i2c/drivers/ina3221x/*/iio:device*/``: ``rail_name_K``,
``in_powerK_input`` [mW], K = 0..2. INA238: hwmon ``name`` = ``ina238``, ``power1_input`` [µW], not mW.
Accuracy: voltage steps 8 mV; current steps 40 µV over the shunt (8 mA on 5 mΩ, 20 mA on 2 mΩ); gain error 0.25 % at
most for the shunt and 0.25 % for the bus voltage, offset 80 µV at most over the shunt (SBOS576B, 6.5 "Electrical
characteristics"), tolerance of the shunt not included. Full scale 163.8 mV over the shunt.
Voltage and current are not of the same instant: each number waits for the end of a cycle of six conversions (1.1 ms
each, 6.6 ms by default, times ``samples``), 7 to 13 ms, so a rail takes twice that and three rails six times.
Channels labelled ``NC`` are not connected; a disabled channel answers ENODATA; both are left out, as is ``in7`` (sum of
shunt voltages). Rails of one name are told apart by the chip's address.
The old layout does not tell the shunt, so that the end of its range cannot be told there. Not yet met its hardware.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.agent.meters.rails import NOT_RAILS, total_of
from drivers.agent.meters.sysfs import Rail, Reading, SysfsMeter, number_of, text_of
from testbed.errors import MeterError

if TYPE_CHECKING:
    from collections.abc import Sequence

_HWMON = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"
_IIO = "sys/bus/i2c/drivers/ina3221x/*/iio:device*"
_INA238 = "sys/class/hwmon/hwmon*"
_FULL_SCALE_UV = 163_800.0
_SHUNT_STEP_UV = 40.0
_OFFSET_UV = 80.0
_FULL_BUS_MV = 32_760.0
_BUS_STEP_V = 0.008
_GAIN_LIMIT_FRAC = 0.0025
_CYCLE_NS = 6_600_000
_CONVERSION_NS = 1_100_000
_INPUT = "VIN"


def find_ina3221(root: str) -> SysfsMeter:
    """Every connected rail of every such chip on the board, as one meter.

    Raises:
        MeterError: there is none.
    """
    base = Path(root)
    found = _hwmon_rails(base) + _iio_rails(base) + _input_rails(base)
    if not found:
        raise MeterError("no INA3221 with a connected rail below /sys/bus/i2c/drivers/ina3221 or ina3221x")
    names = [rail.name for _, rail in found]
    rails = [
        rail if names.count(rail.name) == 1 else rail._replace(name=f"{rail.name}@{chip}")
        for chip, rail in found
    ]
    model = text_of(base / "proc/device-tree/model")
    total, scope = total_of(model, [rail.name for rail in rails])
    chips = sorted({chip for chip, _ in found})
    about = {"chip": f"INA3221 {', '.join(chips)}", "scope": scope, "traits": traits(rails)}
    return SysfsMeter(rails, total, about)


def find_ina3221_total(root: str) -> SysfsMeter:
    """The same chips, but of their rails only those of the total: with fewer numbers to wait for, more samples.

    Raises:
        MeterError: there is no such chip, or all of its rails are of the total anyway.
    """
    whole = find_ina3221(root)
    rails = [rail for rail in whole.channels if rail.name in whole.total]
    if not rails or len(rails) == len(whole.channels):
        raise MeterError("all rails that there are make the total: ina3221 is this meter")
    return SysfsMeter(rails, whole.total, {**whole.about, "traits": traits(rails)})


def traits(rails: Sequence[Rail]) -> dict[str, Any]:
    """Its errors, in the terms of ``testbed.model.meter.MeterTraits``."""
    folder = rails[0].readings[0].path.parent
    samples = number_of(folder / "samples") or 1.0
    cycle_ns = round(samples * _CYCLE_NS)
    numbers = sum(len(rail.readings) for rail in rails)
    return {
        "quantity": "average" if samples > 1 else "instant",
        "metered": "rail",
        "period_ns": cycle_ns,
        "window_ns": cycle_ns if samples > 1 else _CONVERSION_NS,
        "delay_bound_ns": numbers * cycle_ns,
        "gain_frac": math.sqrt(2 / 3) * _GAIN_LIMIT_FRAC,
        "rails": {rail.name: known for rail in rails if (known := _rail_traits(rail))},
        "sources": {
            "period_ns": f"SBOS576B 8.4.2.2: 6 conversions of 1.1 ms (driver's default), times samples = {samples:g}",
            "window_ns": "the same where samples are averaged; a lone one is of one conversion of 1.1 ms",
            "delay_bound_ns": f"each of {numbers} numbers waits up to two cycles; stamped in the middle",
            "gain_frac": "SBOS576B 6.5: 0.25 % at most each for bus and shunt; shunt tolerance not stated",
            "rails": "SBOS576B 6.5: 8 mV and 40 uV steps, 80 uV offset at most, 163.8 mV full scale; shunt from sysfs",
        },
    }


def _rail_traits(rail: Rail) -> dict[str, float]:
    if len(rail.readings) < 2:
        return {}  # a power file: the old driver and the INA238 tell neither voltage step nor shunt beside it
    volts, current = rail.readings
    bus_v = (number_of(volts.path) or 0.0) / 1e3
    shunt = number_of(
        current.path.with_name(current.path.name.replace("curr", "shunt").replace("input", "resistor"))
    )
    if not shunt or bus_v <= 0:
        return {"step_v": _BUS_STEP_V}
    return {
        "step_v": _BUS_STEP_V,
        "step_a": _SHUNT_STEP_UV / shunt,
        "bus_v": bus_v,
        "offset_w": _OFFSET_UV / shunt * bus_v / math.sqrt(3),
        "full_scale_w": _FULL_SCALE_UV / shunt * bus_v,
    }


def _hwmon_rails(root: Path) -> list[tuple[str, Rail]]:
    rails: list[tuple[str, Rail]] = []
    for folder in sorted(root.glob(_HWMON)):
        chip = folder.parents[1].name
        for channel in (1, 2, 3):
            label = text_of(folder / f"in{channel}_label")
            volts, current = folder / f"in{channel}_input", folder / f"curr{channel}_input"
            if label in NOT_RAILS or text_of(folder / f"in{channel}_enable") == "0":
                continue
            if not (text_of(volts) and text_of(current)):
                continue  # ENODATA: disabled
            shunt = number_of(folder / f"shunt{channel}_resistor")
            limit = (_FULL_SCALE_UV - _SHUNT_STEP_UV / 2) * 1e3 / shunt if shunt else math.inf
            readings = (Reading(volts, _FULL_BUS_MV), Reading(current, limit))
            rails.append((chip, Rail(label, readings, 1e-6)))
    return rails


def _iio_rails(root: Path) -> list[tuple[str, Rail]]:
    rails: list[tuple[str, Rail]] = []
    for folder in sorted(root.glob(_IIO)):
        for channel in (0, 1, 2):
            label = text_of(folder / f"rail_name_{channel}")
            path = folder / f"in_power{channel}_input"
            if label not in NOT_RAILS and text_of(path):
                rails.append((folder.parent.name, Rail(label, (Reading(path),), 1e-3)))
    return rails


def _input_rails(root: Path) -> list[tuple[str, Rail]]:
    rails: list[tuple[str, Rail]] = []
    for folder in sorted(root.glob(_INA238)):
        path = folder / "power1_input"
        if text_of(folder / "name") == "ina238" and text_of(path) and not rails:
            rails.append((folder.name, Rail(_INPUT, (Reading(path),), 1e-6)))
    return rails
