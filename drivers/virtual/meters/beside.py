"""A virtual bench supply that feeds a virtual board: the real SCPI driver asks it over a loopback socket.

It follows the board's own emulated input rail, divided by the efficiency of what is between them; so its samples are as
emulated as the board, and show what its monitor showed a window (26 ms) ago.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import msgspec

from drivers.meters.options import options_of
from drivers.meters.sampled import SampledMeter
from drivers.meters.scpi import ScpiMeter, ScpiOptions
from drivers.virtual.machine.power import FOLDER
from drivers.virtual.meters.scpi import VirtualSupply
from drivers.virtual.meters.serving import TcpServing
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.model.lab import MeterSpec
    from testbed.ports import BenchMeter, Sink

_FOLLOW_S = 0.02


class VirtualSupplyOptions(ScpiOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``kind = "virtual-supply"`` meter: those of ``scpi`` without ``where``.

    Attributes:
        efficiency: of the way from the supply to the board's input rail, a share.
    """

    where: str = "tcp://127.0.0.1:1"
    efficiency: float = 0.9
    period_ms: float = 50.0


def virtual_supply(spec: MeterSpec) -> BenchMeter:
    """The meter of a ``kind = "virtual-supply"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    options = options_of(spec, VirtualSupplyOptions)
    if not 0 < options.efficiency <= 1:
        raise ConfigError("must be above 0, at most 1", file=spec.file, key=f"meters.{spec.name}.efficiency")
    rail = spec.state / spec.feeds / spec.feeds / "root" / FOLDER
    return FollowingSupply(spec, options, rail)


class FollowingSupply(SampledMeter):
    """The real driver's meter, with the instrument it asks."""

    def __init__(self, spec: MeterSpec, options: VirtualSupplyOptions, rail: Path) -> None:
        """Follow the board's monitor in the folder ``rail``; nothing listens before `open`."""
        super().__init__(spec, ScpiMeter(options), options.period, origin="emulated")
        self._spec = spec
        self._options = options
        self._rail = rail
        self._supply = VirtualSupply()
        self._serving: TcpServing | None = None
        self._stop = threading.Event()

    async def open(self, sink: Sink) -> None:
        """Switch the supply on, then open the meter as any other.

        Raises:
            MeterError: it cannot be used.
        """
        self._serving = TcpServing(self._supply.answer)
        where = self._serving.where
        self.instrument = ScpiMeter(msgspec.structs.replace(self._options, where=where))
        self._stop.clear()
        self._look()
        threading.Thread(target=self._follow, name=f"supply {self.name}", daemon=True).start()
        await super().open(sink)

    async def close(self) -> None:
        """Close the meter, then the instrument."""
        await super().close()
        self._stop.set()
        serving, self._serving = self._serving, None
        if serving is not None:
            await asyncio.to_thread(serving.__exit__, None, None, None)

    def _follow(self) -> None:
        while not self._stop.wait(_FOLLOW_S):
            self._look()

    def _look(self) -> None:
        try:
            millivolts = float((self._rail / "in1_input").read_text("ascii"))
            milliamps = float((self._rail / "curr1_input").read_text("ascii"))
        except (OSError, ValueError):
            return  # the board is not up, or writes this very moment: as it was
        self._supply.draw(millivolts * milliamps / 1e6 / self._options.efficiency)
