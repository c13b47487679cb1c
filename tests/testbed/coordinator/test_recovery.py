"""Every row of the table, with a board and a switch that do as they are told."""

from __future__ import annotations

import asyncio
import time

import pytest

from testbed.coordinator.labfile import RecoveryTable
from testbed.coordinator.recovery import Recovery, Standing
from testbed.errors import BoardError, LeaseError, MeterError
from testbed.model.event import BoardDown, BoardUp

QUICK = RecoveryTable(grace_s=0.05, attempts=3, return_s=0.1)
PATIENT = RecoveryTable(grace_s=60, attempts=3, return_s=60)


class Bench:
    """One board called b; ``cures`` is the power cycle after which it comes back."""

    def __init__(self, limits: RecoveryTable = QUICK, *, switch: bool = True, cures: int = 0) -> None:
        self.notes: list[str] = []
        self.orders: list[str] = []
        self.withdrawn: list[str] = []
        self.lease: LeaseError | None = None
        self.refuses = False
        self.hold: asyncio.Event | None = None
        self.boots = 1
        self._cures = cures
        self.recovery = Recovery(
            limits,
            {"b": self} if switch else {},
            check_leases=self._check,
            withdraw=self._withdraw,
            note=self.notes.append,
        )
        self.up()

    def up(self) -> None:
        self.recovery.up(
            BoardUp(t=time.monotonic_ns(), board="b", boot=self.boots, boot_id=f"boot-{self.boots}")
        )

    def down(self, *, taken: bool = False) -> None:
        self.recovery.down(BoardDown(t=time.monotonic_ns(), board="b", error="silent", taken=taken))

    async def off(self) -> None:
        raise NotImplementedError

    async def on(self) -> None:
        self.orders.append("on")

    async def cycle(self) -> None:
        self.orders.append("cycle")
        if self.refuses:
            raise MeterError("no answer from the outlet")
        if self.hold is not None:
            await self.hold.wait()
        if self.orders.count("cycle") == self._cures:
            self.boots += 1
            asyncio.get_running_loop().call_soon(self.up)
        self.orders.append("cycled")

    async def _check(self) -> None:
        if self.lease is not None:
            raise self.lease

    async def _withdraw(self, board: str) -> None:
        self.withdrawn.append(board)

    @property
    def state(self) -> Standing:
        return self.recovery.state("b")

    def told(self, text: str) -> bool:
        return any(text in note for note in self.notes)


async def test_a_board_that_comes_back_by_itself_is_left_alone() -> None:
    bench = Bench(PATIENT)
    bench.down()
    assert bench.state is Standing.LOST
    bench.up()
    await bench.recovery.settled()
    assert bench.state is Standing.IN_SERVICE
    assert bench.orders == []
    assert bench.told("b: in service → lost: silent")
    assert bench.told("b: lost → in service: the same board answers again after")
    assert not bench.told("started again")


async def test_a_restart_shows_in_the_boot_identifiers() -> None:
    bench = Bench(PATIENT)
    bench.down()
    bench.boots = 2
    bench.up()
    await bench.recovery.settled()
    assert bench.told("b was started again: boot boot-1 is now boot-2")


async def test_power_is_cycled_until_it_comes_back() -> None:
    bench = Bench(cures=2)
    bench.down()
    await bench.recovery.settled()
    assert bench.state is Standing.IN_SERVICE
    assert bench.orders == ["cycle", "cycled"] * 2
    assert bench.told("lost → quarantined")
    assert bench.told("power cycled, attempt 2 of 3")
    assert bench.told("quarantined → in service")
    assert bench.told("boot-1 is now boot-2")
    assert bench.withdrawn == []


async def test_attempts_are_counted_and_then_it_is_withdrawn() -> None:
    bench = Bench()
    bench.down()
    with pytest.raises(BoardError, match="b: withdrawn: 3 power cycles, and it did not come back"):
        await bench.recovery.settled()
    assert bench.orders == ["cycle", "cycled"] * 3
    assert bench.withdrawn == ["b"]


async def test_without_a_switch_it_is_waited_for_once() -> None:
    bench = Bench(switch=False)
    bench.down()
    with pytest.raises(BoardError, match="no power switch"):
        await bench.recovery.settled()
    assert bench.orders == []


async def test_a_board_that_is_somebody_elses_keeps_its_power() -> None:
    bench = Bench()
    bench.lease = LeaseError("bob holds the board now")
    bench.down()
    with pytest.raises(BoardError, match="bob holds the board now"):
        await bench.recovery.settled()
    assert bench.orders == []
    other = Bench(PATIENT)
    other.down()
    other.down(taken=True)
    with pytest.raises(BoardError):
        await other.recovery.settled()
    assert (other.state, other.orders, other.withdrawn) == (Standing.WITHDRAWN, [], ["b"])


async def test_a_switch_that_fails_is_noted_and_left_on() -> None:
    bench = Bench()
    bench.refuses = True
    bench.down()
    with pytest.raises(BoardError):
        await bench.recovery.settled()
    assert bench.orders == ["cycle", "on"] * 3
    assert bench.told("power could not be cycled, attempt 1 of 3: no answer from the outlet")


async def test_nobody_leaves_a_board_off() -> None:
    bench = Bench(RecoveryTable(grace_s=0.01, attempts=1, return_s=60))
    bench.hold = asyncio.Event()
    bench.down()
    async with asyncio.timeout(10):
        while bench.orders != ["cycle"]:  # noqa: ASYNC110 - a list tells nobody
            await asyncio.sleep(0.005)
        closing = asyncio.create_task(bench.recovery.close())
        await asyncio.sleep(0.02)
        assert not closing.done()
        bench.hold.set()
        await closing
    assert bench.orders == ["cycle", "cycled"]


async def test_lost_twice_is_cared_for_twice() -> None:
    bench = Bench(PATIENT)
    for _ in range(2):
        bench.down()
        bench.up()
        await bench.recovery.settled()
    assert sum("→ lost" in note for note in bench.notes) == 2
    assert bench.state is Standing.IN_SERVICE
