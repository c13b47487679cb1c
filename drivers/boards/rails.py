"""Which of a board's rails add up to its total.

Source: formats of tegrastats and INA3221 on Jetson modules: Nano ``POM_5V_IN``, TX2, Xavier NX and Orin NX/Nano
``VDD_IN`` measure the module's input, so sub-rails must not be added; AGX modules have no such rail, their real rails
add up (without the carrier board).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_INPUT_RAILS = ("VDD_IN", "POM_5V_IN")
_NOT_RAILS = ("NC", "sum of shunt voltages")


def total_rails(rails: Sequence[str]) -> tuple[str, ...]:
    """The rails whose powers add up to the board's."""
    whole = tuple(rail for rail in rails if rail in _INPUT_RAILS)
    return whole[:1] if whole else tuple(rail for rail in rails if rail not in _NOT_RAILS)
