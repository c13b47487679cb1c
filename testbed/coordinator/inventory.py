"""The boards of a lab: leased and opened together, watched, closed together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import msgspec

from testbed.coordinator.boards import board_setups, build_board
from testbed.coordinator.leasing import Leasing, granted, resources_of, store_of
from testbed.coordinator.notes import Notes
from testbed.coordinator.recovery import Recovery
from testbed.errors import BoardError, LeaseError, TestbedError
from testbed.model import event as ev
from testbed.model.action import ExitRule, Infer, Item, Load
from testbed.model.ids import ActionId
from testbed.model.record import ClockProbe, PowerSamples
from testbed.ports import TellingBoard
from testbed.units import Ns, S, to_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.coordinator.labfile import LabFile
    from testbed.coordinator.state import BoardSetup
    from testbed.model.ids import BoardId, ModelId
    from testbed.model.lab import BoardFacts, BoardSpec
    from testbed.ports import BoardEvent, CheckableBoard, Payload, PowerSwitch

OPEN_LIMIT: Ns = 60 * S
LOAD_LIMIT: Ns = 120 * S
EXECUTE_LIMIT: Ns = 30 * S
CLOSE_LIMIT: Ns = 15 * S
AGAIN: Ns = S // 2
"""How often it is looked whether boards that others here have leased are free."""
KNOCK: Ns = 5 * S
"""How often a board is asked whether another coordinator still has it; that opens all boards."""
OWN_IDS: ActionId = 1 << 48
"""Where the action ids of warm-up and profiling start."""


class Inventory:
    """Leased and open boards, what they said of themselves, and where their events go.

    Attributes:
        facts: by board, once open. loads: how each model became resident.
        listener: gets every event of every board; swapped between trials.
        notes: what a journal should tell of leases, and of boards lost and found. recovery: how each board stands.
    """

    def __init__(
        self,
        specs: list[BoardSpec],
        lab: LabFile,
        *,
        purpose: str = "",
        switches: Mapping[BoardId, PowerSwitch] | None = None,
        on_lost: Callable[[LeaseError], None] = lambda _: None,
    ) -> None:
        """Build all drivers; raises `ConfigError` before anything is contacted.

        Args:
            purpose: of the leases. switches: by board, where it has one.
            on_lost: called when a lease is no longer ours: nothing more must be asked of the boards.
        """
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
        self.notes = Notes()
        self.leasing = Leasing(
            store_of(lab),
            resources_of(lab, self.boards),
            length_s=lab.lease_s,
            purpose=purpose,
            on_lost=on_lost,
        )
        self.recovery = Recovery(
            lab.recovery,
            switches or {},
            check_leases=self.leasing.check,
            withdraw=self._withdraw,
            note=self.notes.write,
            stand=self.leasing.stand,
        )

    async def open(
        self,
        on_open: Callable[[], None] = lambda: None,
        *,
        wait: Ns = 0,
        on_wait: Callable[[LeaseError], None] = lambda _: None,
    ) -> None:
        """Lease all boards, open them at once and load every model each may be asked for.

        Args:
            on_open: called as each board is ready.
            wait: how long to wait for boards that somebody else has. on_wait: told once who that is.

        Raises:
            LeaseError: somebody else has a board. StoreError: leases cannot be kept.
            LinkError, BoardError: the first that failed; the others are closed again by ``close``.
        """
        until, told = time.monotonic_ns() + wait, False
        while True:
            pause = AGAIN
            try:
                await self._lease()
                pause = KNOCK
                await self._open_all(on_open)
            except LeaseError as error:
                await self._close_all()
                await self.leasing.release()
                if time.monotonic_ns() >= until:
                    raise
                if not told:
                    on_wait(error)
                told = True
                await asyncio.sleep(to_s(min(pause, max(until - time.monotonic_ns(), 0))))
            else:
                return

    async def _lease(self) -> None:
        """Take the leases, and make the drivers anew that have to show them to their boards."""
        for name, grant in (await self.leasing.acquire()).items():
            self.specs[name] = granted(self.specs[name], grant)
            self.boards[name] = build_board(self.specs[name])
            self.notes.write(grant.note)

    async def _open_all(self, on_open: Callable[[], None]) -> None:
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

    async def load(
        self, board: BoardId, model: ModelId, *, instances: int = 1, evict: tuple[ModelId, ...] = ()
    ) -> ev.Loaded:
        """Make a model resident outside of a trial.

        Args:
            instances: copies held afterwards. evict: dropped at first; naming the model itself loads it anew.

        Raises:
            BoardError: it failed, or took longer than its bound. LeaseError: the boards are no longer ours.
        """
        order = Load(id=self._own_id(), board=board, model=model, instances=instances, evict=evict)
        loaded = await self._own_order(order, LOAD_LIMIT)
        assert isinstance(loaded, ev.Loaded)
        self.loads[board, model] = loaded
        up = self._up.get(board)
        if up is not None:
            resident = dict(up.resident) | {model: instances}
            self._up[board] = msgspec.structs.replace(up, resident=tuple(resident.items()))
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
            self._up[spec.id] = msgspec.structs.replace(up, resident=held)

    async def execute(
        self,
        board: BoardId,
        model: ModelId,
        payload: Payload,
        samples: tuple[int, ...],
        exit_: ExitRule | None = None,
        instance: int = 0,
    ) -> ev.Executed:
        """Run one batch outside of a trial: to warm up, or to profile.

        Args:
            payload: uint8 (items, ...). samples: input index per item, -1 where it is none of the test set.
            instance: lane that runs it.

        Raises:
            BoardError: it failed, or took longer than its bound.
        """
        # The request number of such an item is nobody's: no case is open for it.
        item = Item(request=-1) if exit_ is None else Item(request=-1, exit=exit_)
        order = Infer(
            id=self._own_id(), board=board, model=model, batch=(item,) * len(samples), instance=instance
        )
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
        if self.leasing.lost is not None:
            raise self.leasing.lost
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

    async def tell(self, board: BoardId, name: str) -> str | None:
        """What holds now of one of a board's settings, or its condition; ``None`` where it does not tell.

        Raises:
            LinkError: the link was lost.
        """
        asked = self.boards[board]
        if not isinstance(asked, TellingBoard):
            return None
        try:
            return await asked.tell(name)
        except BoardError:
            return None

    async def probe(self, count: int) -> None:
        """Exchange clock probes with all boards at once; a board that is down is left out."""
        async with asyncio.TaskGroup() as group:
            for name in self._up:
                group.create_task(self.boards[name].probe(count))

    def network(self, board: BoardId) -> ev.NetworkSeen | None:
        """The way to a board as its last probes saw it."""
        return self._network.get(board)

    def known(self) -> list[ev.CoreEvent]:
        """Events that bring a fresh core up to date."""
        return [*self._up.values(), *self._network.values()]

    def setups(self) -> list[BoardSetup]:
        """What a fresh core is told of the boards beforehand."""
        return board_setups(self._lab, self.facts)

    async def close(self) -> None:
        """Close all boards at once, whatever state they are in, and let go of them; bounded in time."""
        try:
            await self.recovery.close()
            await self._close_all()
        finally:
            await self.leasing.release()

    async def _withdraw(self, board: BoardId) -> None:
        """Close the driver of a board that is not coming back."""
        with contextlib.suppress(TestbedError, TimeoutError):
            await asyncio.wait_for(self.boards[board].close(), to_s(CLOSE_LIMIT))

    async def _close_all(self) -> None:
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
                self.recovery.up(event)
            case ev.BoardDown():
                self._up.pop(event.board, None)
                self.recovery.down(event)
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
