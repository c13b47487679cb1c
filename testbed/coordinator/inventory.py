"""The boards of a lab: made from their entry points, opened together, watched, closed together."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from testbed.coordinator.state import BoardSetup
from testbed.errors import BoardError, ConfigError, TestbedError, did_you_mean
from testbed.model import event as ev
from testbed.model.action import ExitRule, Infer, Item, Load
from testbed.model.ids import ActionId
from testbed.model.lab import BoardFacts, BoardSpec, ModelFiles
from testbed.model.record import ClockProbe, PowerSamples
from testbed.units import Ns, S, to_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from testbed.coordinator.labfile import LabFile
    from testbed.model.ids import BoardId, ModelId
    from testbed.model.profile import HwProfile
    from testbed.ports import BoardEvent, CheckableBoard, Payload

OPEN_LIMIT: Ns = 60 * S
LOAD_LIMIT: Ns = 120 * S
EXECUTE_LIMIT: Ns = 30 * S
CLOSE_LIMIT: Ns = 15 * S
OWN_IDS: ActionId = 1 << 48
"""Where the action ids of warm-up and profiling start."""


def board_specs(
    lab: LabFile,
    models: Mapping[ModelId, ModelFiles],
    profiles: Callable[[str, ModelId], HwProfile | None],
    state: Path,
    seed: int,
) -> list[BoardSpec]:
    """What each driver is built from.

    Args:
        models: everything the experiment's catalogue offers.
        profiles: looks up (profile folder, model).

    Raises:
        ConfigError: a board names a model the catalogue does not have, or a table stands for several boards.
    """
    for name, (table, _) in lab.boards.items():
        if table.count > 1:
            raise ConfigError(
                f"{table.count} boards of one table exist in virtual time only",
                file=lab.file,
                key=f"boards.{lab.tables[name]}.count",
                cure="Give each device a table of its own, or play it with --virtual-time",
            )
    specs = []
    for index, (name, (table, options)) in enumerate(lab.boards.items()):
        for model in table.models:
            if model not in models:
                raise ConfigError(
                    f"no model {model!r}",
                    file=lab.file,
                    key=f"boards.{name}.models",
                    cure=did_you_mean(model, models),
                )
        known = {}
        for model in table.models if table.profiles is not None else ():
            profile = profiles(table.profiles or "", model)
            if profile is not None:
                known[model] = profile
        specs.append(
            BoardSpec(
                id=name,
                kind=table.kind,
                site=table.site,
                options=options,
                file=lab.file,
                models={model: models[model] for model in table.models},
                profiles=known,
                resident=table.resident,
                memory_bytes=table.memory_bytes,
                state=state / name,
                seed=seed * 1000 + index,
                fence=time.time_ns(),
            )
        )
    return specs


def build_board(spec: BoardSpec) -> CheckableBoard:
    """Make one board from its kind's entry point; nothing is contacted yet.

    Raises:
        ConfigError: unknown kind, or options the driver refuses.
    """
    kinds = {point.name: point for point in entry_points(group="testbed.boards")}
    if spec.kind not in kinds:
        raise ConfigError(
            f"no driver for kind {spec.kind!r}",
            file=spec.file,
            key=f"boards.{spec.id}.kind",
            cure=did_you_mean(spec.kind, kinds) or "Install the package again: no driver is registered",
        )
    board: CheckableBoard = kinds[spec.kind].load()(spec)
    return board


def board_setups(lab: LabFile, facts: Mapping[BoardId, BoardFacts]) -> list[BoardSetup]:
    """What a fresh core is told of a lab's boards: the lab file, then what the boards said of themselves."""
    return [
        BoardSetup(
            id=name,
            kind=table.kind,
            site=table.site,
            memory_bytes=table.memory_bytes or (facts[name].memory_bytes if name in facts else None),
            cores=table.cores,
            price_per_s=table.price_per_s,
        )
        for name, (table, _) in lab.boards.items()
    ]


class Inventory:
    """Open boards, what they said of themselves, and where their events go.

    Attributes:
        facts: by board, once open. loads: how each model became resident.
        listener: gets every event of every board; swapped between trials.
    """

    def __init__(self, specs: list[BoardSpec], lab: LabFile) -> None:
        """Build all drivers; raises `ConfigError` before anything is contacted."""
        self.specs = {spec.id: spec for spec in specs}
        self.boards = {spec.id: build_board(spec) for spec in specs}
        self.facts: dict[BoardId, BoardFacts] = {}
        self.loads: dict[tuple[BoardId, ModelId], ev.Loaded] = {}
        self.listener: Callable[[BoardEvent], None] = lambda _: None
        self._lab = lab
        self._up: dict[BoardId, ev.BoardUp] = {}
        self._network: dict[BoardId, ev.NetworkSeen] = {}
        self._own: dict[ActionId, asyncio.Future[ev.Loaded | ev.Executed]] = {}
        self._next_own = OWN_IDS

    async def open(self, on_open: Callable[[], None] = lambda: None) -> None:
        """Open all boards at once and load every model each may be asked for.

        Args:
            on_open: called as each board is ready.

        Raises:
            LinkError, BoardError: the first that failed; the others are closed again by ``close``.
        """
        for spec in self.specs.values():
            spec.state.mkdir(parents=True, exist_ok=True)
        try:
            async with asyncio.timeout(to_s(OPEN_LIMIT)), asyncio.TaskGroup() as group:
                for board in self.boards.values():
                    group.create_task(self._open_one(board, on_open))
        except TimeoutError as error:
            missing = ", ".join(sorted(set(self.boards) - set(self.facts)))
            raise BoardError(
                f"not up within {to_s(OPEN_LIMIT):.0f} s",
                board=missing,
                cure="Run `testbed doctor` on the lab file",
            ) from error
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from group_error

    async def _open_one(self, board: CheckableBoard, on_open: Callable[[], None]) -> None:
        self.facts[board.id] = await board.open(self._on_event)
        for model in self.specs[board.id].at_start:
            await self.load(board.id, model)
        on_open()

    async def load(self, board: BoardId, model: ModelId) -> ev.Loaded:
        """Make a model resident outside of a trial.

        Raises:
            BoardError: it failed, or took longer than its bound.
        """
        order = Load(id=self._own_id(), board=board, model=model)
        loaded = await self._own_order(order, LOAD_LIMIT)
        assert isinstance(loaded, ev.Loaded)
        self.loads[board, model] = loaded
        up = self._up.get(board)
        if up is not None:
            resident = dict(up.resident) | {model: 1}
            self._up[board] = ev.BoardUp(t=up.t, board=board, boot=up.boot, resident=tuple(resident.items()))
        return loaded

    async def restore(self) -> None:
        """Have every board hold what it held at the start: a policy of an earlier trial may have swapped models.

        Raises:
            BoardError: a load failed, or took longer than its bound.
        """
        for spec in self.specs.values():
            up = self._up.get(spec.id)
            if spec.resident is None or up is None:
                continue
            others = tuple(model for model in spec.models if model not in spec.resident)
            for model in spec.resident:
                await self._own_order(
                    Load(id=self._own_id(), board=spec.id, model=model, evict=others), LOAD_LIMIT
                )
            held = tuple((model, 1) for model in spec.resident)
            self._up[spec.id] = ev.BoardUp(t=up.t, board=spec.id, boot=up.boot, resident=held)

    async def execute(
        self,
        board: BoardId,
        model: ModelId,
        payload: Payload,
        samples: tuple[int, ...],
        exit_: ExitRule | None = None,
    ) -> ev.Executed:
        """Run one batch outside of a trial: to warm up, or to profile.

        Args:
            payload: uint8 (items, ...). samples: input index per item.

        Raises:
            BoardError: it failed, or took longer than its bound.
        """
        # The request number of such an item is nobody's: no case is open for it.
        item = Item(request=-1) if exit_ is None else Item(request=-1, exit=exit_)
        order = Infer(id=self._own_id(), board=board, model=model, batch=(item,) * len(samples))
        executed = await self._own_order(order, EXECUTE_LIMIT, payload, samples)
        assert isinstance(executed, ev.Executed)
        return executed

    def _own_id(self) -> ActionId:
        # High ids: a policy's own actions start low, and an agent runs an id only once per fencing token.
        self._next_own += 1
        return self._next_own

    async def _own_order(
        self, order: Infer | Load, limit: Ns, payload: Payload | None = None, samples: tuple[int, ...] = ()
    ) -> ev.Loaded | ev.Executed:
        future = self._own[order.id] = asyncio.get_running_loop().create_future()
        self.boards[order.board].send(order, payload, samples)
        try:
            async with asyncio.timeout(to_s(limit)):
                answer: ev.Loaded | ev.Executed = await future
                return answer
        except TimeoutError as error:
            raise BoardError(
                f"{order.model} gave no answer within {to_s(limit):.0f} s", board=order.board
            ) from error
        finally:
            del self._own[order.id]

    async def probe(self, count: int) -> None:
        """Exchange clock probes with all boards at once; a board that is down is left out."""
        async with asyncio.TaskGroup() as group:
            for name in self._up:
                group.create_task(self.boards[name].probe(count))

    def known(self) -> list[ev.CoreEvent]:
        """Events that bring a fresh core up to date."""
        return [*self._up.values(), *self._network.values()]

    def setups(self) -> list[BoardSetup]:
        """What a fresh core is told of the boards beforehand."""
        return board_setups(self._lab, self.facts)

    async def close(self) -> None:
        """Close all boards at once, whatever state they are in; bounded in time."""
        closing = (asyncio.wait_for(board.close(), to_s(CLOSE_LIMIT)) for board in self.boards.values())
        results = await asyncio.gather(*closing, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, TestbedError | TimeoutError):
                raise result

    def _on_event(self, event: BoardEvent) -> None:
        match event:
            case ClockProbe() | PowerSamples():
                pass
            case ev.BoardUp():
                self._up[event.board] = event
            case ev.BoardDown():
                self._up.pop(event.board, None)
            case ev.NetworkSeen():
                self._network[event.board] = event
            case ev.Loaded() | ev.Executed() if event.action in self._own:
                future = self._own[event.action]
                if not future.done():
                    future.set_result(event)
                return
            case ev.Failed() if event.action in self._own:
                future = self._own[event.action]
                if not future.done():
                    future.set_exception(BoardError(event.error, traceback=event.traceback))
                return
            case ev.Sent() if event.action in self._own:
                return
        self.listener(event)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of ours in a group, else the first of any kind."""
    leaves: list[BaseException] = []
    todo: list[BaseException] = [group]
    while todo:
        error = todo.pop(0)
        if isinstance(error, BaseExceptionGroup):
            todo.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((e for e in leaves if isinstance(e, TestbedError)), leaves[0])
