"""The virtual-time shell around the real core."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.coordinator.core import Core
from testbed.coordinator.datagrams import Channel
from testbed.coordinator.lossy_board import LossyBoard
from testbed.coordinator.modelled import Answers, LinkModel, ModelledBoard
from testbed.coordinator.residency import Residency
from testbed.coordinator.simulate import Costs, VirtualTrial
from testbed.coordinator.state import BoardSetup
from testbed.model import event as ev
from testbed.model.action import Decision, Infer, Load, Transport
from testbed.model.datagrams import LossyOptions
from testbed.model.execution import NO_DATAGRAMS
from testbed.model.losses import Loss, LossOptions
from testbed.model.profile import ProfileBook
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.model.view import View
from testbed.units import MS, US, S
from tests.testbed.coordinator.test_live import FirstWins, Keep, Loads
from tests.testbed.coordinator.test_lossy_board import Quarters
from tests.testbed.coordinator.test_modelled import SCORES, profile


def play(
    requests: list[Request],
    boards: dict[str, LinkModel],
    policy: Any = None,
    limit: int = 10 * S,
    seed: int = 0,
    costs: Costs | None = None,
    losses: dict[str, LossOptions] | None = None,
) -> tuple[list[RequestRecord], Core]:
    policy = policy or FirstWins(tuple(boards))
    setups = [BoardSetup(id=name, kind="m", site="edge") for name in boards]
    core = Core(policy, setups, ProfileBook({}), lambda _r, _c: 100, truth=lambda _: 0)
    rng = np.random.default_rng(seed)
    known = {"m": profile((1, 5, 20)), "n": profile((1, 1, 1))}
    answers = {"m": Answers([SCORES]), "n": Answers([SCORES])}
    modelled: dict[str, ModelledBoard] = {}
    for name, link in boards.items():
        modelled[name] = ModelledBoard(name, link, known, answers, rng)
        if losses is not None and name in losses:
            channel = Channel(LossyOptions(), Loss(losses[name], f"{seed}/{name}"), Quarters(), link.rtt)
            modelled[name] = LossyBoard(name, link, known, answers, rng, Residency(known), channel)
    records = Keep()
    trial = VirtualTrial(core, policy, modelled, lambda _o, s: 100 * len(s), records, costs=costs)
    up = [ev.BoardUp(t=0, board=name, boot=-1, resident=(("m", 1),)) for name in boards]
    trial.run(lambda start: [shifted(r, start) for r in requests], up, limit)
    return records.entries, core


def shifted(request: Request, start: int) -> Request:
    deadline = None if request.deadline is None else request.deadline + start
    return msgspec.structs.replace(request, arrival=request.arrival + start, deadline=deadline)


def stream(count: int, gap: int, slack: int | None = S) -> list[Request]:
    return [
        Request(
            id=i, task="t", sample=i % 2, arrival=i * gap, deadline=None if slack is None else i * gap + slack
        )
        for i in range(count)
    ]


def test_an_idle_board_takes_the_way_there_the_service_and_the_way_back() -> None:
    costs = Costs(decide=100 * US)
    link = LinkModel(rtt=40 * MS, up_bytes_per_s=10_000)
    records, _ = play(stream(1, 0), {"a": link}, costs=costs)
    [step] = records[0].steps
    assert step.sent is not None
    assert step.received is not None
    assert step.started == step.received
    assert step.finished is not None
    assert step.sent - step.decided == costs.decide
    assert step.received - step.sent == 10 * MS + 20 * MS
    assert step.answered == step.finished + 20 * MS
    assert records[0].response == costs.decide + 50 * MS + (step.finished - (step.started or 0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 10), st.sampled_from([None, 3, 30, 300]))
def test_every_request_has_exactly_one_record_under_any_load(
    seed: int, gap_ms: int, slack_ms: int | None
) -> None:
    slack = None if slack_ms is None else slack_ms * MS
    boards = {"a": LinkModel(rtt=MS), "b": LinkModel(rtt=9 * MS, up_bytes_per_s=20_000)}
    records, _ = play(stream(60, gap_ms * MS, slack), boards, seed=seed, limit=2 * S)
    assert sorted(r.request.id for r in records) == list(range(60))
    for record in records:
        for step in record.steps:
            if step.ok:
                assert step.decided <= (step.sent or 0) <= (step.received or 0) <= (step.started or 0)
                assert (step.started or 0) < (step.finished or 0) <= step.answered


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    boards = {"a": LinkModel(rtt=MS), "b": LinkModel(rtt=3 * MS)}
    one, two, other = (
        msgspec.json.encode(play(stream(200, 4 * MS), boards, seed=seed)[0]) for seed in (5, 5, 6)
    )
    assert one == two
    assert one != other


def test_a_board_is_never_booked_twice() -> None:
    records, _ = play(stream(200, 2 * MS), {"a": LinkModel(rtt=MS), "b": LinkModel(rtt=5 * MS)})
    for board in ("a", "b"):
        ran = sorted(
            (s.started, s.finished)
            for r in records
            for s in r.steps
            if s.board == board and s.started is not None
        )
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(ran))  # type: ignore[operator]


def test_losers_of_a_speculation_are_taken_back_or_run_to_the_end() -> None:
    records, core = play(stream(200, 2 * MS), {"a": LinkModel(rtt=MS), "b": LinkModel(rtt=5 * MS)})
    assert core.counters["cancelled_before_start"] > 0
    assert core.counters["cancelled_too_late"] > 0
    assert {r.outcome for r in records} == {Outcome.COMPLETED}


def test_what_a_policy_loads_first_takes_its_time() -> None:
    records, _ = play(stream(3, MS), {"a": LinkModel(rtt=MS)}, policy=Loads(("a",)))
    assert len(records) == 3


def test_what_is_open_at_the_limit_is_aborted() -> None:
    records, _ = play(stream(100, 0, None), {"a": LinkModel()}, limit=50 * MS)
    outcomes = [r.outcome for r in records]
    assert len(outcomes) == 100
    assert Outcome.ABORTED in outcomes
    assert Outcome.COMPLETED in outcomes


class Swaps(FirstWins):
    """Orders one load that evicts, then asks for the model that was evicted."""

    def __init__(self, boards: tuple[str, ...], at: int) -> None:
        super().__init__(boards)
        self._swap_at = at
        self._count = 0

    def decide(self, now: int, view: Any) -> Any:
        decision = super().decide(now, view)
        self._count += len(view.touched)
        if self._count == self._swap_at:
            load = Load(id=view.new_id(), board="a", model="n", evict=("m",))
            decision = msgspec.structs.replace(decision, actions=(*decision.actions, load))
        return decision


def test_what_was_evicted_fails_with_its_reason_and_nothing_hangs() -> None:
    records, core = play(stream(4, 50 * MS), {"a": LinkModel(rtt=2 * MS)}, Swaps(("a",), 3))
    assert len(records) == 4
    assert core.open_requests == 0
    errors = [step.error for r in records for step in r.steps if step.error]
    assert errors
    assert set(errors) == {"'m' is not resident"}
    assert [r.outcome for r in records].count(Outcome.FAILED) >= 1


class Lossy(FirstWins):
    """The same over lossy transport."""

    def decide(self, now: int, view: View) -> Decision:
        said = super().decide(now, view)
        return Decision(
            actions=tuple(
                msgspec.structs.replace(a, transport=Transport.LOSSY) if isinstance(a, Infer) else a
                for a in said.actions
            )
        )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 10), st.sampled_from([0.0, 0.2, 0.6, 1.0]))
def test_whatever_is_lost_every_request_has_one_record_and_the_same_for_a_seed(
    seed: int, gap_ms: int, frac: float
) -> None:
    boards = {"a": LinkModel(rtt=MS), "b": LinkModel(rtt=9 * MS, up_bytes_per_s=2e6)}
    losses = {name: LossOptions(frac=frac) for name in boards}
    runs = [
        play(stream(60, gap_ms * MS), boards, Lossy(tuple(boards)), limit=2 * S, seed=seed, losses=losses)[0]
        for _ in range(2)
    ]
    assert msgspec.json.encode(runs[0]) == msgspec.json.encode(runs[1])
    assert sorted(r.request.id for r in runs[0]) == list(range(60))
    steps = [step for record in runs[0] for step in record.steps]
    for step in steps:
        if step.ok:
            assert step.lost_frac <= 0.3
            assert step.decided <= (step.sent or 0) <= (step.received or 0) <= (step.started or 0)
        elif step.error is not None:
            assert step.lost_frac > 0.3
            assert (step.sent or 0) < step.answered
    assert any(step.ok for step in steps) is (frac < 1.0)


def test_a_lossy_order_to_a_board_without_a_channel_fails_as_live() -> None:
    ((record,), _) = play(stream(1, 0), {"a": LinkModel(rtt=MS)}, Lossy(("a",)))
    assert record.outcome is Outcome.FAILED
    assert record.steps[0].error is not None
    assert record.steps[0].error.startswith(NO_DATAGRAMS)
    assert record.steps[0].sent is None
