"""The output of a bench supply, by SCPI.

Source: SCPI-99 volume 2, OUTPut subsystem: ``OUTPut[:STATe] ON|OFF``, ``OUTPut?`` answers 1 or 0. Supplies with several
outputs name one (``OUTP ON,(@2)``, ``OUTP CH2,ON``): write it into the lab file. What the output says afterwards is
believed, not the order. Not yet met an instrument.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from drivers.meters.lines import ask, check_way, open_lines
from testbed.errors import ConfigError, MeterError
from testbed.model.lab import parse_options

if TYPE_CHECKING:
    from testbed.model.lab import SwitchSpec
    from testbed.ports import PowerSwitch

_ANSWER_SECONDS = 2.0
_ASKS = 20
_AGAIN_SECONDS = 0.1


class ScpiSwitchOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``kind = "scpi"`` switch.

    Attributes:
        where: the way to the supply (see `drivers.meters.lines`). baud: of a serial port.
        on, off: the orders. state: the question whose answer begins with 1 or ON while it is on; empty: not asked.
        off_s: how long a cycle stays off, for the board's supply to run dry.
    """

    where: str
    baud: int = 9600
    on: str = "OUTP ON"
    off: str = "OUTP OFF"
    state: str = "OUTP?"
    off_s: float = 5.0


def scpi(spec: SwitchSpec) -> PowerSwitch:
    """The switch of a ``kind = "scpi"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    key = f"switches.{spec.name}"
    options = parse_options(spec.options, ScpiSwitchOptions, file=spec.file, key=key)
    for name in ("on", "off"):
        if not getattr(options, name).strip() or "\n" in getattr(options, name):
            raise ConfigError(
                "not an order", file=spec.file, key=f"{key}.{name}", cure="Write one SCPI command"
            )
    check_way(options.where, spec.file, f"{key}.where")
    return ScpiSwitch(spec.name, options)


class ScpiSwitch:
    """Opens the way for each order, so that the supply can be used by others in between."""

    def __init__(self, name: str, options: ScpiSwitchOptions) -> None:
        """Nothing is contacted before the first order."""
        self._name = name
        self._options = options
        self._turn = asyncio.Lock()

    async def on(self) -> None:
        """Output on.

        Raises:
            MeterError: the supply cannot be reached, or its output stays off.
        """
        async with self._turn:
            await asyncio.to_thread(self._order, self._options.on, True)

    async def off(self) -> None:
        """Output off.

        Raises:
            MeterError: the supply cannot be reached, or its output stays on.
        """
        async with self._turn:
            await asyncio.to_thread(self._order, self._options.off, False)

    async def cycle(self) -> None:
        """Off for ``off_s``, and on.

        Raises:
            MeterError: see `on` and `off`.
        """
        await self.off()
        try:
            await asyncio.sleep(self._options.off_s)
        finally:
            await self.on()  # also where somebody lost patience meanwhile: a board is not left without power

    def _order(self, command: str, wanted: bool) -> None:
        try:
            lines = open_lines(self._options.where, baud=self._options.baud)
            try:
                lines.drain()
                lines.tell(command)
                if not self._options.state:
                    return
                for _ in range(_ASKS):
                    told = ask(lines, self._options.state, _ANSWER_SECONDS).strip().upper()
                    if told.startswith(("1", "ON")) is wanted:
                        return
                    time.sleep(_AGAIN_SECONDS)
            finally:
                lines.close()
        except MeterError as error:
            raise MeterError(f"switch {self._name}: {error.message}", cure=error.cure) from error
        state = "off" if wanted else "on"
        raise MeterError(f"switch {self._name}: the output stays {state} after {command!r}, it says {told!r}")
