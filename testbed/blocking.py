"""Boards of a lab for plain functions: an event loop in a thread of its own, and calls that wait for it.

For tests and notebooks. What schedules requests over boards is the campaign; here one board answers one batch.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

import numpy as np
from msgspec import Struct

from testbed.campaign.bench import profile_lookup
from testbed.campaign.data import TaskData
from testbed.campaign.loop import new_loop
from testbed.coordinator.boards import board_specs
from testbed.coordinator.inventory import Inventory
from testbed.coordinator.labfile import read_lab
from testbed.errors import ConfigError, did_you_mean
from testbed.model import event as ev
from testbed.model.action import ExitRule
from testbed.model.origin import Origin
from testbed.units import S, from_s, to_ms, to_s

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from testbed.model.ids import ModelId
    from testbed.model.lab import BoardFacts, BoardSpec
    from testbed.ports import BoardEvent
    from testbed.units import Ns

T = TypeVar("T")
TASK = "image-classification/fashion-mnist"
OPEN_LIMIT: Ns = 180 * S
CLOSE_LIMIT: Ns = 15 * S
FAULT_LIMIT: Ns = 20 * S


class Answers(Struct, frozen=True, kw_only=True):
    """What a board answered to one batch.

    Attributes:
        labels, confidences, exits: per input.
        service_ms: from start to finish, as the board timed it.
        response_ms: from handing the batch over to having the answer, on this host.
        origin: of the service time: ``emulated`` on a virtual board.
    """

    labels: tuple[int, ...]
    confidences: tuple[float, ...]
    exits: tuple[int, ...]
    service_ms: float
    response_ms: float
    origin: Origin


class FaultOrders(Protocol):
    """What a virtual board lets itself be told; ``Board.faults`` on such a board."""

    async def cut(self, seconds: float = ...) -> None:
        """Break the link, and refuse it for so long."""

    async def garble(
        self, count: int = ..., *, flip: bool = ..., towards: Literal["host", "board"] = ...
    ) -> None:
        """Put noise on the link, or flip bits of what passes."""

    async def stall(self, seconds: float) -> None:
        """Carry nothing for so long; nothing is lost."""

    async def step_clock(self, seconds: float) -> None:
        """Let the board's clock jump."""

    async def kill_agent(self) -> None:
        """Kill the agent."""

    async def reboot(self) -> None:
        """Kill everything and start anew, with another boot id and clock."""


class Faults:
    """Breaks a virtual board on order; each call returns once it is broken."""

    def __init__(self, orders: FaultOrders, loop: LoopThread) -> None:
        """Nothing is broken yet."""
        self._orders = orders
        self._loop = loop

    def cut(self, seconds: float = 0.1) -> None:
        """Break the link, and refuse it for so long."""
        self._loop.call(self._orders.cut(seconds), FAULT_LIMIT)

    def garble(
        self, count: int = 16, *, flip: bool = False, towards: Literal["host", "board"] = "host"
    ) -> None:
        """Put ``count`` bytes of noise on the link, or flip a bit in so many; ``towards`` host or board."""
        self._loop.call(self._orders.garble(count, flip=flip, towards=towards), FAULT_LIMIT)

    def stall(self, seconds: float) -> None:
        """Carry nothing for so long; nothing is lost."""
        self._loop.call(self._orders.stall(seconds), FAULT_LIMIT)

    def step_clock(self, seconds: float) -> None:
        """Let the board's clock jump, forwards or, below zero, backwards."""
        self._loop.call(self._orders.step_clock(seconds), FAULT_LIMIT)

    def kill_agent(self) -> None:
        """Kill the agent, as ``kill -9`` would."""
        self._loop.call(self._orders.kill_agent(), FAULT_LIMIT)

    def reboot(self) -> None:
        """Kill everything and start anew, with another boot id and clock."""
        self._loop.call(self._orders.reboot(), FAULT_LIMIT)


class LoopThread:
    """An event loop that runs in a thread until it is closed."""

    def __init__(self) -> None:
        """Start it."""
        self._closing = asyncio.Event()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="testbed", daemon=True)
        self._thread.start()
        self._running.wait()

    def _run(self) -> None:
        # A runner ends what is left of tasks, generators and threads in order when the loop is done.
        with asyncio.Runner(loop_factory=new_loop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        self._running.set()
        await self._closing.wait()

    def call(self, work: Coroutine[Any, Any, T], limit: Ns) -> T:
        """Run a coroutine there and wait for it.

        Raises:
            TimeoutError: it took longer than ``limit``; it was cancelled.
        """

        async def bounded() -> T:
            async with asyncio.timeout(to_s(limit)):
                return await work

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()

    def close(self) -> None:
        """End the loop and wait for the thread."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()


class BlockingBoard:
    """One open board.

    Attributes:
        name: in the lab file. kind: of its driver. models: what it may be asked to run.
    """

    def __init__(self, inventory: Inventory, spec: BoardSpec, loop: LoopThread) -> None:
        """Take an open inventory of one board; `BlockingLab.board` makes these."""
        self._inventory = inventory
        self._spec = spec
        self._loop = loop
        self._up = asyncio.Event()
        self._up.set()
        inventory.listener = self._on_event
        self.name = spec.id
        self.kind = spec.kind
        self.models = tuple(spec.models)

    @property
    def facts(self) -> BoardFacts:
        """What the board said it is."""
        return self._inventory.facts[self.name]

    @property
    def faults(self) -> Faults | None:
        """Breaks this board on order; ``None`` on a real one."""
        orders: FaultOrders | None = getattr(self._inventory.boards[self.name], "faults", None)
        return None if orders is None else Faults(orders, self._loop)

    def infer(
        self,
        images: NDArray[np.uint8],
        *,
        model: ModelId | None = None,
        exit: int | None = None,
        samples: Iterable[int] = (),
        within_s: float = 30.0,
    ) -> Answers:
        """Run a batch and wait for the answers.

        Args:
            images: uint8 (n, channels, height, width).
            model: default: the first the lab file lists for this board.
            exit: leave a network with several exits there; default: at the last.
            samples: indexes of the images in the task's test set, where they come from it.
            within_s: bound on the wait.

        Raises:
            BoardError: the board failed, or was lost on the way.
            ConfigError: the board may not run that model.
            TimeoutError: no answer within ``within_s``.
        """
        chosen = self.models[0] if model is None else model
        if chosen not in self.models:
            raise ConfigError(
                f"no model {chosen!r} on board {self.name}",
                file=self._spec.file,
                key=f"boards.{self.name}.models",
                cure=did_you_mean(chosen, self.models),
            )
        batch = np.ascontiguousarray(images, dtype=np.uint8)
        rule = ExitRule() if exit is None else ExitRule.at(exit)
        indexes = tuple(samples) or (-1,) * len(batch)
        asked = time.monotonic_ns()
        run = self._inventory.execute(self.name, chosen, batch, indexes, rule)
        execution = self._loop.call(run, from_s(within_s)).execution
        answered = time.monotonic_ns()
        return Answers(
            labels=tuple(item.label for item in execution.items),
            confidences=tuple(item.confidence for item in execution.items),
            exits=tuple(item.exit for item in execution.items),
            service_ms=to_ms(execution.finished - execution.started),
            response_ms=to_ms(answered - asked),
            origin=execution.origin,
        )

    def wait_up(self, within_s: float = 30.0) -> None:
        """Wait until the board is connected, after a fault for instance; raises `TimeoutError`."""
        self._loop.call(self._wait_up(), from_s(within_s))

    async def _wait_up(self) -> None:
        await self._up.wait()

    def _on_event(self, event: BoardEvent) -> None:
        if isinstance(event, ev.BoardUp):
            self._up.set()
        elif isinstance(event, ev.BoardDown):
            self._up.clear()


class BlockingLab:
    """The boards of a lab file; each opens when it is first asked for, all close with the ``with`` block.

    Attributes:
        names: the boards. task: what their models answer. images, labels: its test set.
    """

    def __init__(
        self, file: Path, *, state: Path, task: str = TASK, catalog: Path | None = None, seed: int = 0
    ) -> None:
        """Read the lab file; nothing is contacted.

        Args:
            file: the lab file. state: folder for sockets, keys and logs.
            task: what is asked. catalog: its models, ``None`` for the shipped ones.
            seed: for everything random about virtual boards.

        Raises:
            ConfigError: the file, or a driver's part of it, is wrong.
        """
        data = TaskData(task, catalog)
        lab = read_lab(file)
        self.file = file
        self.task = task
        self.images = data.images
        self.labels = data.labels
        specs = board_specs(lab, data.models, profile_lookup(lab), state, seed)
        self._inventories = {spec.id: Inventory([spec], lab) for spec in specs}
        self.names = tuple(self._inventories)
        self._open: dict[str, BlockingBoard] = {}
        self._loop = LoopThread()

    def board(self, name: str) -> BlockingBoard:
        """An open board with its models loaded.

        Raises:
            ConfigError: the lab has no board of that name.
            LeaseError: somebody else has it. LinkError, BoardError: it could not be brought up.
        """
        if name not in self._inventories:
            cure = did_you_mean(name, self._inventories)
            raise ConfigError(f"no board {name!r}", file=self.file, key="boards", cure=cure)
        if name not in self._open:
            inventory = self._inventories[name]
            try:
                self._loop.call(inventory.open(), OPEN_LIMIT)
            except BaseException:
                self._loop.call(inventory.close(), CLOSE_LIMIT)
                raise
            self._open[name] = BlockingBoard(inventory, inventory.specs[name], self._loop)
        return self._open[name]

    def close(self) -> None:
        """Close what was opened, whatever state it is in."""
        try:
            for name in list(self._open):
                del self._open[name]
                self._loop.call(self._inventories[name].close(), CLOSE_LIMIT)
        finally:
            self._loop.close()

    def __enter__(self) -> Self:
        """Stay open for a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()
