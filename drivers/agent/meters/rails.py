"""Which of a board's rails add up to what it draws, board by board, and what that total leaves out.

========================  ==================================================================================
board                     total
========================  ==================================================================================
Nano                      ``POM_5V_IN``, the module's 5 V input; ``POM_5V_GPU`` and ``POM_5V_CPU`` are behind it
TX1, TX2                  ``VDD_IN``, the module's input; ``VDD_SYS_*``, ``VDD_4V0_WIFI`` and the like are behind
                          it, and what the developer kit's carrier meters (``VDD_MUX`` …) is before it
Xavier NX, Orin NX, Nano  ``VDD_IN``; ``VDD_CPU_GPU_CV`` and ``VDD_SOC`` are behind it
AGX Xavier                no input rail: ``GPU CPU SOC CV VDDRQ SYS5V`` add up to the module
AGX Orin                  no input rail: ``VDD_GPU_SOC VDD_CPU_CV VIN_SYS_5V0 VDDQ_VDD2_1V8AO`` add up to the module
AGX Thor                  ``VIN``, the INA238 before the carrier; everything the INA3221 meters is behind it
========================  ==================================================================================

Source: NVIDIA Jetson Linux Developer Guide, "Power Monitor" / "Software-Based Power Consumption Modeling" of each
module family (rail names and which is the module's input).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_RAILS = ("", "NC", "sum of shunt voltages")


class Board(NamedTuple):
    """How one family of boards adds up: words of its device-tree model, the rails of its total, what that covers."""

    words: tuple[str, ...]
    total: tuple[str, ...]
    scope: str


_MODULE = "module input; the carrier board is not included"
_SUM = "sum of the module's rails, as it has no input rail; losses before them and the carrier board not included"
_BOARDS = (
    Board(("Thor",), ("VIN",), "input of module and carrier board"),
    Board(("AGX Orin",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"), _SUM),
    Board(("Orin",), ("VDD_IN",), _MODULE),
    Board(("Xavier NX",), ("VDD_IN",), _MODULE),
    Board(("AGX Xavier",), ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"), _SUM),
    Board(("Jetson-AGX",), ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"), _SUM),
    Board(("TX2",), ("VDD_IN",), _MODULE),
    Board(("quill",), ("VDD_IN",), _MODULE),
    Board(("TX1",), ("VDD_IN",), _MODULE),
    Board(("Nano",), ("POM_5V_IN",), "5 V module input; the carrier board is not included"),
)
_INPUTS = ("VIN", "VDD_IN", "POM_5V_IN")


def total_of(model: str, rails: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The rails that add up to the total, and what it covers; found by the board's name, else by the rails' names.

    Args:
        model: text of ``/proc/device-tree/model``. rails: names that are really metered.

    Returns:
        no rails, and why, where a rail of the total is not metered: the others are no substitute for it.
    """
    for words, total, scope in _BOARDS:
        if not all(word in model for word in words):
            continue
        there = tuple(rail for rail in total if rail in rails)
        if len(total) == 1 and not there:
            break  # e.g. another release names the input otherwise
        missing = [rail for rail in total if rail not in rails]
        if missing and scope is _SUM and len(missing) > 1:
            break
        return there, scope + (f"; {', '.join(missing)} not metered" if missing else "")
    for name in _INPUTS:
        if name in rails:
            return (name,), "the rail named as the input; this board is not in the table"
    real = tuple(rail for rail in rails if rail.partition("@")[0] not in NOT_RAILS)
    return real, "sum of all rails; this board is not in the table, so one may be behind another"
