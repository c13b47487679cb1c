"""The board under measurement: what is executed on it, and what it and its meters say meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from testbed.model.action import ExitRule
from testbed.model.record import ClockProbe, PowerSamples
from testbed.units import Ns, to_s

if TYPE_CHECKING:
    from collections.abc import Collection

    from testbed.campaign.data import Data
    from testbed.campaign.profiling.plan import Cell
    from testbed.coordinator.inventory import Inventory
    from testbed.model.event import Executed
    from testbed.model.ids import BoardId, ModelId
    from testbed.model.lab import BoardFacts
    from testbed.ports import BoardEvent, Payload

CONDITION = "condition"


class Recorder:
    """Listens to the board: power samples, and the probes that put them on our clock.

    Attributes:
        power, probes: in the order they came. fresh: set by every block of samples.
    """

    def __init__(self) -> None:
        """Nothing heard yet."""
        self.power: list[PowerSamples] = []
        self.probes: list[ClockProbe] = []
        self.fresh = asyncio.Event()

    def __call__(self, event: BoardEvent) -> None:
        """Keep what is for us."""
        if isinstance(event, PowerSamples):
            self.power.append(event)
            self.fresh.set()
        elif isinstance(event, ClockProbe):
            self.probes.append(event)

    async def until_heard(self, meters: Collection[str], within_s: float, *, after: int = 0) -> set[str]:
        """Wait until each of these meters, or any where none is named, sent a block; but not for ever.

        Args:
            after: blocks that do not count, from the first.

        Returns:
            whose blocks came; what is missing shows as missing samples.
        """
        came = {block.meter for block in self.power[after:]}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not came or came < set(meters):
                    self.fresh.clear()
                    await self.fresh.wait()
                    came = {block.meter for block in self.power[after:]}
        return came


class ProfileBench:
    """One open board with its model resident.

    Attributes:
        inventory, data: as they were opened. board, model: what is measured. heard: what was said since.
    """

    def __init__(self, inventory: Inventory, data: Data, board: BoardId, model: ModelId) -> None:
        """Listen from now on."""
        self.inventory = inventory
        self.data = data
        self.board = board
        self.model = model
        self.heard = Recorder()
        inventory.listener = self.heard
        self._turn = 0

    @property
    def facts(self) -> BoardFacts:
        """What the board said of itself."""
        return self.inventory.facts[self.board]

    @property
    def exits(self) -> int:
        """Exits of the model."""
        return self.data.models[self.model].exits

    async def execute(self, cell: Cell, lane: int = 0) -> Executed:
        """Run the cell's batch once on the next test inputs.

        Raises:
            BoardError: it failed.
        """
        samples = self._next_samples(self.model, cell.batch)
        payload = self.data.of(self.model).inputs(samples)
        return await self.inventory.execute(
            self.board, self.model, payload, samples, self._rule(cell.exit), lane
        )

    async def execute_beside(self, cell: Cell, lane: int) -> None:
        """Run the second model once, batch 1, to its last exit.

        Raises:
            BoardError: it failed.
        """
        samples = self._next_samples(cell.beside, 1)
        payload = self.data.of(cell.beside).inputs(samples)
        await self.inventory.execute(self.board, cell.beside, payload, samples, None, lane)

    async def answer(self, payload: Payload, exit_: int) -> tuple[list[int], list[float]]:
        """Labels and confidences of inputs that are none of the test set.

        Raises:
            BoardError: it failed.
        """
        unknown = (-1,) * len(payload)
        executed = await self.inventory.execute(self.board, self.model, payload, unknown, self._rule(exit_))
        items = executed.execution.items
        return [item.label for item in items], [item.confidence for item in items]

    async def condition(self) -> str:
        """The board's condition as it tells it, empty where it does not."""
        return await self.inventory.tell(self.board, CONDITION) or ""

    def _rule(self, exit_: int) -> ExitRule | None:
        return ExitRule.at(exit_) if self.exits > 1 else None

    def _next_samples(self, model: ModelId, count: int) -> tuple[int, ...]:
        total = len(self.data.of(model).images)
        begin = self._turn
        self._turn = (begin + count) % total
        return tuple((begin + i) % total for i in range(count))


def since(start: Ns) -> float:
    """Seconds since an instant of our clock."""
    return to_s(time.monotonic_ns() - start)
