"""The live shell on boards that answer from the event loop."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from testbed.coordinator.core import Core
from testbed.coordinator.live import LiveTrial
from testbed.coordinator.state import BoardSetup
from testbed.errors import PolicyError, StoreError
from testbed.model import event as ev
from testbed.model.action import Answer, Cancel, Decision, Infer, Item, Load
from testbed.model.lab import BoardSpec
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.profile import ProfileBook
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.model.view import View
from testbed.store.schema import Decided
from testbed.units import MS, Ns, S
from tests.testbed.coordinator.fake_board import FakeBoard


class FirstWins:
    """Speculates on every board, takes the first answer, cancels the rest."""

    def __init__(self, boards: tuple[str, ...]) -> None:
        self._boards = boards

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Infer | Answer | Cancel | Load] = []
        for request in view.touched:
            case = view.cases[request]
            good = [s for s in case.steps if s.ok]
            if not case.steps:
                actions += [
                    Infer(id=view.new_id(), board=b, model="m", batch=(Item(request=request),))
                    for b in self._boards
                ]
            elif good:
                actions.append(Answer(request=request, steps=(good[0].id,), label=good[0].label))
                actions += [Cancel(action=a) for a in case.in_flight]
        return Decision(actions=tuple(actions))


class Keep:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def write(self, entry: Any) -> None:
        self.entries.append(entry)


def spec(name: str, **options: Any) -> BoardSpec:
    return BoardSpec(
        id=name,
        kind="fake",
        site="edge",
        options=options,
        file=Path("lab.toml"),
        models={},
        profiles={},
        state=Path(),
    )


class Rig:
    """A trial over fake boards."""

    def __init__(self, *boards: FakeBoard, policy: Any = None) -> None:
        self.boards = {board.id: board for board in boards}
        self.policy = policy or FirstWins(tuple(self.boards))
        self.records, self.events = Keep(), Keep()
        self.core = self.fresh_core(self.policy)
        self.shell = LiveTrial(
            self.core,
            self.policy,
            self.boards,
            lambda _order, samples: np.zeros((len(samples), 4), dtype=np.uint8),
            self.records,
            events=self.events,
        )

    def fresh_core(self, policy: Any) -> Core:
        setups = [BoardSetup(id=name, kind="fake", site="edge") for name in self.boards]
        return Core(policy, setups, ProfileBook({}), lambda _r, _c: 4, truth=lambda _: 3)

    async def run(self, count: int = 20, gap: Ns = MS, limit: Ns = 2 * S) -> list[RequestRecord]:
        for board in self.boards.values():
            await board.open(self.shell.on_event)
        requests = [
            Request(id=i, task="t", sample=i, arrival=(i + 1) * gap, deadline=(i + 1) * gap + S)
            for i in range(count)
        ]
        known = [ev.BoardUp(t=0, board=name, boot=1, resident=(("m", 1),)) for name in self.boards]
        await self.shell.run(requests, known, limit)
        return self.records.entries


async def test_every_request_is_played_and_recorded_once() -> None:
    rig = Rig(FakeBoard(spec("a")))
    records = await rig.run()
    assert sorted(r.request.id for r in records) == list(range(20))
    assert {r.outcome for r in records} == {Outcome.COMPLETED}
    assert all(r.seen >= r.request.arrival for r in records), "nothing is played before it arrives"
    assert [s for (s,) in rig.boards["a"].seen] == list(range(20))


async def test_replaying_the_event_log_of_a_live_run_gives_the_same_decisions() -> None:
    rig = Rig(FakeBoard(spec("a", delay_s=0.003)), FakeBoard(spec("b", delay_s=0.002)))
    records = await rig.run(40)
    log = msgspec.msgpack.encode(rig.events.entries)
    entries = msgspec.msgpack.decode(log, type=list[ev.CoreEvent | Decided])
    core = rig.fresh_core(FirstWins(("a", "b")))
    core.start(0)
    again: list[Decision] = []
    for entry in entries:
        if not isinstance(entry, Decided):
            core.handle(entry)
            if core.decision is not None and core.decision.actions:
                again.append(core.decision)
    live = [e.decision for e in entries if isinstance(e, Decided) and e.decision.actions]
    assert len(live) >= 40
    assert again == live
    assert (
        sum(core.counters[f"cancelled_{s}"] for s in ("before_sent", "before_start", "during", "too_late"))
        > 0
    )
    assert len(records) == 40


async def test_a_board_lost_in_the_middle_fails_its_requests_and_the_trial_goes_on() -> None:
    rig = Rig(FakeBoard(spec("a", delay_s=0.01, lose_after=7)))
    records = await rig.run(20, gap=3 * MS)
    outcomes = {r.outcome for r in records}
    assert len(records) == 20
    assert outcomes == {Outcome.COMPLETED, Outcome.FAILED}


async def test_what_never_answers_is_aborted_at_the_limit() -> None:
    rig = Rig(FakeBoard(spec("a", dead=True)))
    records = await rig.run(3, limit=100 * MS)
    assert {r.outcome for r in records} == {Outcome.ABORTED}


async def test_an_interrupt_records_what_is_open_as_aborted() -> None:
    rig = Rig(FakeBoard(spec("a", delay_s=0.05)))
    running = asyncio.create_task(rig.run(50, gap=5 * MS))
    async with asyncio.timeout(10):
        while not rig.boards["a"].seen:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    aborted = [r for r in rig.records.entries if r.outcome is Outcome.ABORTED]
    assert aborted
    assert {r.reason for r in aborted} == {"interrupted"}


class Broken(FirstWins):
    """Answers what is not open."""

    def decide(self, now: Ns, view: View) -> Decision:
        return Decision(actions=(Answer(request=99, steps=(), label=0),)) if view.touched else Decision()


class BadPlan(FirstWins):
    """Cannot plan."""

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        raise PolicyError("no plan")


class Buggy(FirstWins):
    """Has a bug that shows with the fourth answer."""

    def decide(self, now: Ns, view: View) -> Decision:
        if view.finished_count == 3:
            raise KeyError("frontend")
        return super().decide(now, view)


class BuggyPlan(FirstWins):
    """Has a bug in its slow path."""

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "policy",
    [Broken(("a",)), BadPlan(("a",)), Buggy(("a",)), BuggyPlan(("a",))],
    ids=lambda p: type(p).__name__,
)
async def test_a_policy_that_breaks_ends_the_trial_at_once_and_is_named(policy: FirstWins) -> None:
    board = FakeBoard(spec("a"))
    with pytest.raises(PolicyError):
        async with asyncio.timeout(25):  # not at the limit
            await Rig(board, policy=policy).run(20, limit=30 * S)
    sent = len(board.seen)
    await asyncio.sleep(0.03)
    assert len(board.seen) == sent, "nothing arrives any more"


class Full(Keep):
    """A disk that is full after a few records."""

    def write(self, entry: Any) -> None:
        if len(self.entries) == 5:
            raise StoreError("no space left")
        super().write(entry)


async def test_a_full_disk_ends_the_trial_and_not_the_board() -> None:
    board = FakeBoard(spec("a"))
    rig = Rig(board)
    rig.records = Full()
    rig.shell._records = rig.records
    with pytest.raises(StoreError, match="no space"):
        await rig.run(20, limit=30 * S)
    assert board.closed == 0


class Loads(FirstWins):
    """Orders a model before anything else."""

    def decide(self, now: Ns, view: View) -> Decision:
        if "n" not in view.boards["a"].resident and "n" not in view.boards["a"].loading:
            return Decision(actions=(Load(id=view.new_id(), board="a", model="n"),))
        return super().decide(now, view)


async def test_arrivals_wait_for_the_loads_of_the_first_plan() -> None:
    rig = Rig(FakeBoard(spec("a")), policy=Loads(("a",)))
    records = await rig.run(3)
    kinds = [type(e).__name__ for e in rig.events.entries]
    assert kinds.index("Loaded") < kinds.index("Arrived")
    assert len(records) == 3


async def test_a_closed_loop_submits_the_next_request_as_one_is_recorded() -> None:
    rig = Rig(FakeBoard(spec("a")))
    await rig.boards["a"].open(rig.shell.on_event)
    await rig.shell.prepare([ev.BoardUp(t=0, board="a", boot=1, resident=(("m", 1),))])
    for i in range(5):
        rig.shell.submit(Request(id=i, task="t", sample=i, arrival=time.monotonic_ns()))
        async with asyncio.timeout(10):
            while len(rig.records.entries) <= i:  # noqa: ASYNC110 - a sink has no event
                await asyncio.sleep(0.001)
    rig.shell.finish()
    assert [r.outcome for r in rig.records.entries] == [Outcome.COMPLETED] * 5
