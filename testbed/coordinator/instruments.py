"""The instruments of a lab: meters beside boards, read while the lab is open, and switches of their power.

A meter's samples go where its board's events go, under the meter's name and on the coordinator's clock; what is known
of it stands in its board's facts. Switches are only made here: when one is used is for whoever cares for the boards.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.errors import ConfigError, MeterError, TestbedError, did_you_mean
from testbed.model.lab import CheckResult, MeterSpec, SwitchSpec
from testbed.model.record import PowerSamples
from testbed.units import Ns, S, to_s

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.coordinator.inventory import Inventory
    from testbed.coordinator.labfile import LabFile
    from testbed.model.ids import BoardId
    from testbed.ports import BenchMeter, BoardEvent, PowerSwitch

FIRST_LIMIT: Ns = 60 * S
"""Within this a meter must have given its first sample; analysers take ten seconds to settle."""
CLOSE_LIMIT: Ns = 15 * S


def build_meters(lab: LabFile, state: Path) -> list[BenchMeter]:
    """Every meter of a lab file; nothing is contacted yet.

    Raises:
        ConfigError: unknown kind, or options the driver refuses.
    """
    return [
        _driver("meters", name, table.kind, lab)(
            MeterSpec(
                name=name, kind=table.kind, feeds=table.feeds, options=options, file=lab.file, state=state
            )
        )
        for name, (table, options) in lab.meters.items()
    ]


def build_switches(lab: LabFile) -> dict[BoardId, PowerSwitch]:
    """Every switch of a lab file, by the board it feeds; nothing is switched yet.

    Raises:
        ConfigError: unknown kind, or options the driver refuses.
    """
    return {
        table.feeds: _driver("switches", name, table.kind, lab)(
            SwitchSpec(name=name, kind=table.kind, feeds=table.feeds, options=options, file=lab.file)
        )
        for name, (table, options) in lab.switches.items()
    }


def _driver(group: str, name: str, kind: str, lab: LabFile) -> Any:  # noqa: ANN401 - a factory
    kinds = {point.name: point for point in entry_points(group=f"testbed.{group}")}
    if kind not in kinds:
        raise ConfigError(
            f"no driver for kind {kind!r}",
            file=lab.file,
            key=f"{group}.{name}.kind",
            cure=did_you_mean(kind, kinds) or "Install the package again: no driver is registered",
        )
    return kinds[kind].load()


class Instruments:
    """The meters of a lab, open together with its boards."""

    def __init__(self, lab: LabFile, state: Path) -> None:
        """Build all drivers; raises `ConfigError` before anything is contacted."""
        self.meters = build_meters(lab, state)
        self._lab = lab
        self._first = {meter.name: asyncio.Event() for meter in self.meters}
        self._last_fault: dict[str, str] = {}

    async def open(self, inventory: Inventory) -> None:
        """Have every meter sample; returns when each has given a sample.

        Args:
            inventory: its boards are open. Their listener gets the samples, their facts what is known of the meters.

        Raises:
            ConfigError: a meter has the name of one that the board has itself. MeterError: one cannot be used.
        """

        def hear(event: BoardEvent) -> None:
            if isinstance(event, PowerSamples):
                if event.t:
                    self._first[event.meter].set()
                elif event.faults:
                    self._last_fault[event.meter] = event.faults[-1].kind
            inventory.listener(event)

        for meter in self.meters:
            if meter.name in inventory.facts[meter.feeds].facts.get("meters", {}):
                raise ConfigError(
                    f"{meter.feeds} has a meter of this name itself",
                    file=self._lab.file,
                    key=f"meters.{meter.name}",
                    cure="Give it another name",
                )
        await asyncio.gather(*(meter.open(hear) for meter in self.meters))
        for meter in self.meters:
            await self._await_first(meter)
        self._tell(inventory)

    async def settle(self, inventory: Inventory) -> None:
        """The boards have shown their load: fix ranges, where a meter has any to fix.

        Raises:
            MeterError: a meter refuses.
        """
        for meter in self.meters:
            await meter.settle()
        await self.ready()
        self._tell(inventory)

    async def ready(self) -> None:
        """Wait until every meter gives samples, as one that was lost does once it has been found again.

        Raises:
            MeterError: one gave none within `FIRST_LIMIT`.
        """
        for meter in self.meters:
            self._first[meter.name].clear()
        for meter in self.meters:
            await self._await_first(meter)

    async def close(self) -> None:
        """Let go of all meters at once; bounded in time."""
        closing = (asyncio.wait_for(meter.close(), to_s(CLOSE_LIMIT)) for meter in self.meters)
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, TestbedError | TimeoutError):
                raise result

    async def _await_first(self, meter: BenchMeter) -> None:
        try:
            async with asyncio.timeout(to_s(FIRST_LIMIT)):
                await self._first[meter.name].wait()
        except TimeoutError as error:
            fault = self._last_fault.get(meter.name, "nothing at all")
            text = f"meter {meter.name} gave no sample within {to_s(FIRST_LIMIT):.0f} s, but: {fault}"
            raise MeterError(text, cure="Run `testbed doctor` on the lab file") from error

    def _tell(self, inventory: Inventory) -> None:
        for meter in self.meters:
            facts = inventory.facts[meter.feeds]
            about = {**facts.facts.get("meters", {}), meter.name: meter.about}
            inventory.facts[meter.feeds] = msgspec.structs.replace(
                facts,
                facts={**facts.facts, "meters": about},
                meters={**facts.meters, meter.name: meter.traits},
            )


async def examine_meter(meter: BenchMeter) -> CheckResult:
    """Open a meter, hear a sample, and let it go again."""
    step = f"meter {meter.name}"
    first: asyncio.Future[PowerSamples] = asyncio.get_running_loop().create_future()
    faults: list[str] = []

    def hear(event: BoardEvent) -> None:
        if isinstance(event, PowerSamples):
            faults.extend(fault.kind for fault in event.faults)
            if event.t and not first.done():
                first.set_result(event)

    try:
        await meter.open(hear)
        async with asyncio.timeout(to_s(FIRST_LIMIT)):
            block = await first
    except MeterError as error:
        return CheckResult(step=step, state="failed", finding=error.message, cure=error.cure)
    except TimeoutError:
        finding = f"no sample within {to_s(FIRST_LIMIT):.0f} s, but: {', '.join(dict.fromkeys(faults)) or 'nothing'}"
        cure = "See whether it measures anything, and whether its table in the lab file fits it"
        return CheckResult(step=step, state="failed", finding=finding, cure=cure)
    finally:
        await asyncio.wait_for(meter.close(), to_s(CLOSE_LIMIT))
    watts = dict(zip(block.rails, block.power_w, strict=False))
    shown = ", ".join(f"{rail} {value:.3g} W" for rail, value in watts.items())
    known = meter.about.get("identity")
    told = f"{known}: {shown}" if known else shown
    return CheckResult(step=step, state="ok", finding=f"{told}; total is {' + '.join(block.total)}")
