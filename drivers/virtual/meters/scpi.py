"""A bench supply that nobody has: answers the queries of a supply with meter and output switch, as SCPI has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

IDENTITY = "Testbed,Virtual Supply,0,1.0"
_VOLTS = 5.0
_STEP_A = 0.001
_OVERLOAD = "9.9E+37"


class VirtualSupply:
    """What the supply says to each line; the methods of a rig, apart from going away, which is its line's business."""

    def __init__(self) -> None:
        """Output on, nothing drawn."""
        self.on = True
        self.watts = 0.0
        self.errors: list[str] = []
        self.heard: list[str] = []
        self._trouble = ""

    def answer(self, line: str) -> Iterable[str]:
        """The answer to a line, if it is a query."""
        self.heard.append(line)
        words = line.upper().split()
        command = words[0] if words else ""
        if command == "*IDN?":
            return [IDENTITY]
        if command == "SYST:ERR?":
            return [self.errors.pop(0) if self.errors else '0,"No error"']
        if command in ("MEAS:VOLT?", "MEAS:CURR?", "MEAS:POW?"):
            return [self._measured(command)]
        if command == "OUTP?":
            return ["1" if self.on else "0"]
        if command == "OUTP" and len(words) > 1 and words[1].rstrip(",") in ("ON", "OFF", "1", "0"):
            self.on = words[1].rstrip(",") in ("ON", "1")
            return []
        if command in ("SENS:POW:RANG", "VOLT"):
            return []
        self.errors.append('-113,"Undefined header"')
        return []

    def draw(self, watts: float) -> None:
        """Draw so much while the output is on."""
        self.watts = watts

    def saturate(self) -> None:
        """Show an overload."""
        self._trouble = _OVERLOAD

    def garble(self) -> None:
        """Show no number."""
        self._trouble = "****"

    def mend(self) -> None:
        """Show what is drawn."""
        self._trouble = ""

    def _measured(self, command: str) -> str:
        if self._trouble:
            return self._trouble
        amps = round(self.watts / _VOLTS / _STEP_A) * _STEP_A if self.on else 0.0
        volts = _VOLTS if self.on else 0.0
        return f"{ {'MEAS:VOLT?': volts, 'MEAS:CURR?': amps, 'MEAS:POW?': volts * amps}[command]:+.6E}"
