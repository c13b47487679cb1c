"""What becomes of a board that stops answering.

===========  ======================================================  ===========  ====================================
state        when                                                    next         what happens
===========  ======================================================  ===========  ====================================
in service   its driver says it is down                              lost         the driver connects again by itself
lost         it is up again: the same board, says the driver         in service   -
lost         ``grace_s`` have passed                                 quarantined  -
quarantined  it is up again: the same board, says the driver         in service   -
quarantined  it has a switch, attempts are left, the lease is ours   quarantined  its power is cycled; it has
                                                                                  ``return_s`` to come back
quarantined  no attempt is left (without a switch: ``return_s``)     withdrawn    the driver is closed
any          another holder has taken it                             withdrawn    the driver is closed; its power is
                                                                                  somebody else's business
===========  ======================================================  ===========  ====================================

Every transition is noted, with the boot identifiers that tell a restart from a pulled cable. The driver re-identifies
a board at each connection before it says that it is up. Nothing here lasts longer than
``grace_s + attempts * return_s`` and the bounds of the switch.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from typing import TYPE_CHECKING, Any

from testbed.errors import BoardError, TestbedError
from testbed.units import Ns, S, to_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from testbed.coordinator.labfile import RecoveryTable
    from testbed.model.event import BoardDown, BoardUp
    from testbed.model.ids import BoardId
    from testbed.ports import PowerSwitch

SWITCH_LIMIT: Ns = 60 * S
"""Bound on each order to a power switch, whatever its driver's own."""


class Standing(enum.Enum):
    """How a board stands."""

    IN_SERVICE = "in service"
    LOST = "lost"
    QUARANTINED = "quarantined"
    WITHDRAWN = "withdrawn"


class _Case:
    """One board."""

    def __init__(self) -> None:
        self.state = Standing.IN_SERVICE
        self.connected = asyncio.Event()
        self.boot_id = ""
        self.since: Ns = 0
        self.reason = ""
        self.care: asyncio.Task[None] | None = None


class Recovery:
    """Cares for the boards of an inventory."""

    def __init__(
        self,
        limits: RecoveryTable,
        switches: Mapping[BoardId, PowerSwitch],
        *,
        check_leases: Callable[[], Awaitable[None]],
        withdraw: Callable[[BoardId], Coroutine[Any, Any, None]],
        note: Callable[[str], None],
        stand: Callable[[BoardId, str], None] = lambda board, standing: None,
    ) -> None:
        """All boards are in service.

        Args:
            limits: how long and how often. switches: by board, where it has one.
            check_leases: raises `LeaseError` where a board is no longer ours to switch.
            withdraw: closes a board's driver for good. note: takes each transition.
            stand: takes how a board stands after each, and why; empty once it is in service.
        """
        self._limits = limits
        self._switches = switches
        self._check_leases = check_leases
        self._withdraw = withdraw
        self._note = note
        self._stand = stand
        self._cases: dict[BoardId, _Case] = {}

    def state(self, board: BoardId) -> Standing:
        """How a board stands."""
        return self._case(board).state

    def up(self, event: BoardUp) -> None:
        """Take what a driver tells."""
        case = self._case(event.board)
        if case.boot_id and event.boot_id != case.boot_id:
            self._note(f"{event.board} was started again: boot {case.boot_id} is now {event.boot_id}")
        case.boot_id = event.boot_id
        case.connected.set()

    def down(self, event: BoardDown) -> None:
        """Take what a driver tells."""
        case = self._case(event.board)
        case.connected.clear()
        if event.taken:
            self._end_care(case)
            self._move(event.board, Standing.WITHDRAWN, event.error)
            case.care = asyncio.create_task(self._withdraw(event.board))
        elif case.state is Standing.IN_SERVICE:
            case.since = time.monotonic_ns()
            self._move(event.board, Standing.LOST, event.error)
            case.care = asyncio.create_task(self._care(event.board, case))

    async def settled(self) -> None:
        """Wait until every board is in service; bounded by what each state may last.

        Raises:
            BoardError: one was withdrawn.
        """
        for case in self._cases.values():
            if case.care is not None:
                await asyncio.wait((case.care,))
        gone = {name: case.reason for name, case in self._cases.items() if case.state is Standing.WITHDRAWN}
        if gone:
            raise BoardError(
                "; ".join(f"withdrawn: {reason}" for reason in gone.values()),
                board=", ".join(gone),
                cure="See to the board, then play the rest with --resume",
            )

    async def close(self) -> None:
        """Stop caring; a power cycle that is under way is ended first."""
        for case in self._cases.values():
            self._end_care(case)
        await asyncio.gather(
            *(case.care for case in self._cases.values() if case.care is not None), return_exceptions=True
        )

    def _case(self, board: BoardId) -> _Case:
        if board not in self._cases:
            self._cases[board] = _Case()
        return self._cases[board]

    @staticmethod
    def _end_care(case: _Case) -> None:
        if case.care is not None:
            case.care.cancel()

    def _move(self, board: BoardId, state: Standing, why: str) -> None:
        case = self._case(board)
        self._note(f"{board}: {case.state.value} → {state.value}: {why}")
        case.state, case.reason = state, why
        self._stand(board, "" if state is Standing.IN_SERVICE else f"{state.value}: {why}")

    async def _care(self, board: BoardId, case: _Case) -> None:
        """From lost to in service or withdrawn."""
        limits, switch = self._limits, self._switches.get(board)
        if await self._back(board, case, limits.grace_s):
            return
        self._move(board, Standing.QUARANTINED, f"it did not come back by itself within {limits.grace_s:g} s")
        for attempt in range(1, (limits.attempts if switch is not None else 1) + 1):
            if switch is not None:
                try:
                    await self._check_leases()
                except TestbedError as error:  # no longer ours, or nobody can say
                    self._move(board, Standing.WITHDRAWN, f"not ours to switch: {error}")
                    await self._withdraw(board)
                    return
                await self._cycle(board, switch, f"attempt {attempt} of {limits.attempts}")
            if await self._back(board, case, limits.return_s):
                return
        tried = f"{limits.attempts} power cycles" if switch is not None else "no power switch"
        self._move(
            board, Standing.WITHDRAWN, f"{tried}, and it did not come back within {limits.return_s:g} s"
        )
        await self._withdraw(board)

    async def _back(self, board: BoardId, case: _Case, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await case.connected.wait()
        except TimeoutError:
            return False
        took = to_s(time.monotonic_ns() - case.since)
        self._move(board, Standing.IN_SERVICE, f"the same board answers again after {took:.1f} s")
        return True

    async def _cycle(self, board: BoardId, switch: PowerSwitch, which: str) -> None:
        """Off and on again, to the end: nobody leaves a board off because somebody stopped waiting."""
        work = asyncio.ensure_future(self._switch(board, switch, which))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await work
            raise

    async def _switch(self, board: BoardId, switch: PowerSwitch, which: str) -> None:
        try:
            async with asyncio.timeout(to_s(SWITCH_LIMIT)):
                await switch.cycle()
            self._note(f"{board}: power cycled, {which}")
        except (TestbedError, OSError, TimeoutError) as error:
            self._note(f"{board}: power could not be cycled, {which}: {error}")
            with contextlib.suppress(TestbedError, OSError, TimeoutError):
                async with asyncio.timeout(to_s(SWITCH_LIMIT)):
                    await switch.on()  # it may have failed in the middle
