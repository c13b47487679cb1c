"""Boards of a lab for plain functions: an event loop in a thread of its own, and calls that wait for it.

For tests and notebooks. What schedules requests over boards is the campaign; here one board answers one batch.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
from msgspec import Struct

from testbed.campaign.data import TaskData
from testbed.coordinator.inventory import board_specs, build_board
from testbed.coordinator.labfile import read_lab
from testbed.errors import BoardError, ConfigError, did_you_mean
from testbed.model import event as ev
from testbed.model.action import ExitRule, Infer, Item, Load
from testbed.model.origin import Origin
from testbed.store.profiles import find_folder, load_profiles
from testbed.units import S, from_s, to_ms, to_s

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from testbed.model.ids import ActionId, ModelId
    from testbed.model.lab import BoardFacts, BoardSpec
    from testbed.model.profile import HwProfile
    from testbed.ports import BoardEvent, CheckableBoard
    from testbed.units import Ns

T = TypeVar("T")
TASK = "image-classification/fashion-mnist"
OPEN_LIMIT: Ns = 60 * S
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

    async def garble(self, count: int = ..., flip: bool = ..., towards: str = ...) -> None:
        """Put noise on the link, or flip bits of what passes."""

    async def stall(self, seconds: float) -> None:
        """Carry nothing for so long; nothing is lost."""

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

    def garble(self, count: int = 16, *, flip: bool = False, towards: str = "host") -> None:
        """Put ``count`` bytes of noise on the link, or flip a bit in so many; ``towards`` host or board."""
        self._loop.call(self._orders.garble(count, flip, towards), FAULT_LIMIT)

    def stall(self, seconds: float) -> None:
        """Carry nothing for so long; nothing is lost."""
        self._loop.call(self._orders.stall(seconds), FAULT_LIMIT)

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
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="testbed", daemon=True)
        self._thread.start()

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
        """Stop the loop and wait for the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Desk:
    """One open board on the event loop: orders go out, their fates come back."""

    def __init__(self, spec: BoardSpec) -> None:
        """Build the driver; raises `ConfigError` for options it refuses."""
        self.spec = spec
        self.board: CheckableBoard = build_board(spec)
        self.facts: BoardFacts | None = None
        self._waiting: dict[ActionId, asyncio.Future[BoardEvent]] = {}
        self._resident: set[ModelId] = set()
        self._next = 1
        self._up = asyncio.Event()

    async def open(self) -> BoardFacts:
        """Connect; raises what the driver raises."""
        self.spec.state.mkdir(parents=True, exist_ok=True)
        self.facts = await self.board.open(self._on_event)
        return self.facts

    async def close(self) -> None:
        """Let go."""
        await self.board.close()

    async def wait_up(self) -> None:
        """Return once the board is connected (again)."""
        await self._up.wait()

    async def infer(
        self, model: ModelId, images: NDArray[np.uint8], rule: ExitRule, samples: tuple[int, ...]
    ) -> Answers:
        """Run one batch, loading the model before the first.

        Raises:
            BoardError: the board failed, or was lost on the way.
        """
        if model not in self._resident:
            load = Load(id=self._take_id(), board=self.spec.id, model=model)
            await self._order(load)
            self._resident.add(model)
        items = tuple(Item(request=index, exit=rule) for index in range(len(images)))
        infer = Infer(id=self._take_id(), board=self.spec.id, model=model, batch=items)
        asked = time.monotonic_ns()
        fate = await self._order(infer, images, samples)
        answered = time.monotonic_ns()
        if not isinstance(fate, ev.Executed):
            raise BoardError("the batch was taken back", board=self.spec.id)
        done = fate.execution
        return Answers(
            labels=tuple(item.label for item in done.items),
            confidences=tuple(item.confidence for item in done.items),
            exits=tuple(item.exit for item in done.items),
            service_ms=to_ms(done.finished - done.started),
            response_ms=to_ms(answered - asked),
            origin=done.origin,
        )

    def _take_id(self) -> ActionId:
        self._next += 1
        return self._next

    async def _order(
        self, order: Infer | Load, payload: NDArray[np.uint8] | None = None, samples: tuple[int, ...] = ()
    ) -> BoardEvent:
        fate: asyncio.Future[BoardEvent] = asyncio.get_running_loop().create_future()
        self._waiting[order.id] = fate
        try:
            self.board.send(order, payload, samples)
            event = await fate
        finally:
            del self._waiting[order.id]
        if isinstance(event, ev.Failed):
            raise BoardError(event.error, board=self.spec.id, traceback=event.traceback)
        return event

    def _on_event(self, event: BoardEvent) -> None:
        match event:
            case ev.BoardUp():
                self._up.set()
            case ev.BoardDown():
                self._up.clear()
            case ev.Executed() | ev.Loaded() | ev.Failed() | ev.Cancelled():
                fate = self._waiting.get(event.action)
                if fate is not None and not fate.done():
                    fate.set_result(event)


class BlockingBoard:
    """One open board.

    Attributes:
        name: in the lab file. kind: of its driver. models: what it may be asked to run.
    """

    def __init__(self, desk: Desk, loop: LoopThread) -> None:
        """Take an open board; `BlockingLab.board` makes these."""
        self._desk = desk
        self._loop = loop
        self.name = desk.spec.id
        self.kind = desk.spec.kind
        self.models = tuple(desk.spec.models)

    @property
    def facts(self) -> BoardFacts:
        """What the board said it is."""
        assert self._desk.facts is not None, "made of an open desk"
        return self._desk.facts

    @property
    def faults(self) -> Faults | None:
        """Breaks this board on order; ``None`` on a real one."""
        orders: FaultOrders | None = getattr(self._desk.board, "faults", None)
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
                file=self._desk.spec.file,
                key=f"boards.{self.name}.models",
                cure=did_you_mean(chosen, self.models),
            )
        batch = np.ascontiguousarray(images, dtype=np.uint8)
        rule = ExitRule() if exit is None else ExitRule.at(exit)
        return self._loop.call(self._desk.infer(chosen, batch, rule, tuple(samples)), from_s(within_s))

    def wait_up(self, within_s: float = 30.0) -> None:
        """Wait until the board is connected, after a fault for instance; raises `TimeoutError`."""
        self._loop.call(self._desk.wait_up(), from_s(within_s))


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
        self._specs = {
            spec.id: spec for spec in board_specs(lab, data.models, profile_finder(file), state, seed)
        }
        self.names = tuple(self._specs)
        self._open: dict[str, BlockingBoard] = {}
        self._desks: list[Desk] = []
        self._loop = LoopThread()

    def board(self, name: str) -> BlockingBoard:
        """An open board.

        Raises:
            ConfigError: the lab has no board of that name.
            LinkError, BoardError: it could not be brought up.
        """
        if name not in self._specs:
            cure = did_you_mean(name, self._specs)
            raise ConfigError(f"no board {name!r}", file=self.file, key="boards", cure=cure)
        if name not in self._open:
            desk = Desk(self._specs[name])
            self._desks.append(desk)
            self._loop.call(desk.open(), OPEN_LIMIT)
            self._open[name] = BlockingBoard(desk, self._loop)
        return self._open[name]

    def close(self) -> None:
        """Close what was opened, whatever state it is in."""
        try:
            for desk in self._desks:
                self._loop.call(desk.close(), CLOSE_LIMIT)
        finally:
            self._desks = []
            self._open = {}
            self._loop.close()

    def __enter__(self) -> Self:
        """Stay open for a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def profile_finder(lab: Path) -> Callable[[str, ModelId], HwProfile | None]:
    """Looks up (profile folder, model), each folder read once; paths are relative to the lab file."""

    @functools.cache
    def folder(name: str) -> dict[ModelId, HwProfile]:
        return load_profiles(find_folder(name, beside=lab))

    return lambda name, model: folder(name).get(model)
