"""Boards of a lab for plain functions: an event loop in a thread of its own, and calls that wait for it.

For tests and notebooks. What schedules requests over boards is the campaign; here one board answers one batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Self

import numpy as np
from msgspec import Struct

from testbed.campaign.bench import profile_lookup
from testbed.campaign.data import TaskData
from testbed.campaign.metered import energies_over
from testbed.campaign.profiling.bench import Recorder
from testbed.campaign.profiling.energy import why_unmetered
from testbed.coordinator.boards import board_specs
from testbed.coordinator.instruments import Instruments
from testbed.coordinator.inventory import Inventory
from testbed.coordinator.labfile import read_lab
from testbed.errors import ConfigError, MeterError, did_you_mean
from testbed.faults import Faults
from testbed.loop_thread import LoopThread
from testbed.model import event as ev
from testbed.model.action import ExitRule
from testbed.model.origin import Origin
from testbed.units import S, from_s, to_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from testbed.faults import FaultOrders
    from testbed.model.energy import Energy
    from testbed.model.ids import ModelId
    from testbed.model.lab import BoardFacts, BoardSpec
    from testbed.ports import BoardEvent
    from testbed.units import Ns

TASK = "image-classification/fashion-mnist"
OPEN_LIMIT: Ns = 180 * S
CLOSE_LIMIT: Ns = 30 * S
METER_LIMIT: Ns = 20 * S
HEAR_S = 5.0
"""Samples come in blocks, and from agents that were cut off for a moment."""
PROBES = 8


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


class Metered:
    """What the meters of a board say of a ``with`` block, once it is over.

    Attributes:
        energies: by meter; a figure that could not be had is ``None`` with a reason.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self.energies: dict[str, Energy] = {}


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
        self._heard: Recorder | None = None
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
            ConfigError: the board may not run that model, or these are no images.
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
        batch = np.ascontiguousarray(images)
        if batch.dtype != np.uint8 or batch.size == 0:  # a cast would make black pictures of scaled ones
            text = f"must be at least one image in uint8, not {batch.shape} of {batch.dtype}"
            raise ConfigError(text, key="images", cure="Give raw pixels, 0 to 255: scaling is the model's")
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

    @contextlib.contextmanager
    def metered(self, *, rest_s: float = 0.0) -> Iterator[Metered]:
        """Have the board's meters, on it or beside it, tell the energy of a ``with`` block.

        Args:
            rest_s: quiet time before and after, for the energy above idle; 0 for the gross energy only.

        Yields:
            what is filled in at the end of the block; an exception inside leaves it empty.

        Raises:
            MeterError: no meter of this board gives samples.
        """
        heard = self._heard = Recorder()
        told = Metered()
        rest_limit = from_s(rest_s) + METER_LIMIT
        try:
            names = self._loop.call(self._streaming(heard), METER_LIMIT)
            before = self._loop.call(self._rest(rest_s), rest_limit)
            begun = time.monotonic_ns()
            yield told
            span = (begun, time.monotonic_ns())
            after = self._loop.call(self._rest(rest_s), rest_limit)
            self._loop.call(heard.until_heard(names, HEAR_S, after=len(heard.power)), METER_LIMIT)
            rests = (before, after) if rest_s else ()
            told.energies = energies_over(self.facts, heard.power, heard.probes, span, rests)
        finally:
            self._heard = None

    async def _streaming(self, heard: Recorder) -> set[str]:
        names = await heard.until_heard((), HEAR_S)
        if not names:
            cure = "Give it meter_period_ms in the lab file, or a table in [meters] that feeds it"
            raise MeterError(f"{self.name}: {why_unmetered(self.facts)}", cure=cure)
        return names

    async def _rest(self, seconds: float) -> tuple[Ns, Ns]:
        begun = time.monotonic_ns()
        await asyncio.sleep(seconds)
        ended = time.monotonic_ns()
        await self._inventory.probe(PROBES)
        return begun, ended

    async def _wait_up(self) -> None:
        await self._up.wait()

    def _on_event(self, event: BoardEvent) -> None:
        if self._heard is not None:
            self._heard(event)
        if isinstance(event, ev.BoardUp):
            self._up.set()
        elif isinstance(event, ev.BoardDown):
            self._up.clear()


class BlockingLab:
    """The boards of a lab file; each opens when it is first asked for, all close with the ``with`` block.

    A board opens together with the meters beside it.

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
        self._instruments = {spec.id: Instruments(lab.only(spec.id), state) for spec in specs}
        self.names = tuple(self._inventories)
        self._open: dict[str, BlockingBoard] = {}
        self._loop = LoopThread()

    def board(self, name: str) -> BlockingBoard:
        """An open board with its models loaded, and its meters sampling.

        Raises:
            ConfigError: the lab has no board of that name.
            LeaseError: somebody else has it. LinkError, BoardError: it could not be brought up.
            MeterError: an instrument that feeds it cannot be used.
        """
        if name not in self._inventories:
            cure = did_you_mean(name, self._inventories)
            raise ConfigError(f"no board {name!r}", file=self.file, key="boards", cure=cure)
        if name not in self._open:
            inventory, instruments = self._inventories[name], self._instruments[name]
            try:
                self._loop.call(inventory.open(), OPEN_LIMIT)
                self._loop.call(instruments.open(inventory), OPEN_LIMIT)
            except BaseException:
                self._loop.call(self._close(name), CLOSE_LIMIT)
                raise
            self._open[name] = BlockingBoard(inventory, inventory.specs[name], self._loop)
        return self._open[name]

    def close(self) -> None:
        """Close what was opened, whatever state it is in."""
        try:
            for name in list(self._open):
                del self._open[name]
                self._loop.call(self._close(name), CLOSE_LIMIT)
        finally:
            self._loop.close()

    async def _close(self, name: str) -> None:
        await self._instruments[name].close()
        await self._inventories[name].close()

    def __enter__(self) -> Self:
        """Stay open for a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()
