"""The core alone: events in, effects out."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.coordinator.core import Core
from testbed.coordinator.effects import Close, Dispatch, Effect, Plan, WakeAt
from testbed.coordinator.state import FINISHED_WINDOW, BoardSetup
from testbed.errors import PolicyError
from testbed.model import event as ev
from testbed.model.action import Answer, Cancel, Decision, Infer, Item, Load, Reject
from testbed.model.execution import Execution, ItemResult
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.profile import ProfileBook
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.model.view import Health, View
from testbed.units import MS, Ns

SETUPS = (BoardSetup(id="a", kind="x", site="edge"), BoardSetup(id="b", kind="x", site="dc"))


class Scripted:
    """A policy that calls a function."""

    def __init__(self, decide: Callable[[Ns, View], Decision]) -> None:
        self._decide = decide

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def decide(self, now: Ns, view: View) -> Decision:
        return self._decide(now, view)


def make(decide: Callable[[Ns, View], Decision]) -> Core:
    core = Core(Scripted(decide), SETUPS, ProfileBook({}), lambda _r, _c: 784, truth=lambda _: 3)
    assert any(isinstance(e, Plan) for e in core.start(0))
    for board in ("a", "b"):
        core.handle(ev.BoardUp(t=0, board=board, boot=1, resident=(("m", 1),)))
    return core


def infer(view: View, request: int, board: str = "a") -> Infer:
    return Infer(id=view.new_id(), board=board, model="m", batch=(Item(request=request),))


def execution(label: int = 3, items: int = 1) -> Execution:
    return Execution(
        received=1,
        started=2,
        finished=3,
        items=tuple(ItemResult(label=label, confidence=0.9) for _ in range(items)),
    )


def arrived(t: Ns, id_: int = 0, deadline: Ns | None = None) -> ev.Arrived:
    return ev.Arrived(t=t, request=Request(id=id_, task="t", sample=id_, arrival=t, deadline=deadline))


def once(now: Ns, view: View) -> Decision:
    """Send what is new, answer what has come, retry never."""
    actions: list[Infer | Answer] = []
    for request in view.touched:
        case = view.cases[request]
        if not case.steps:
            actions.append(infer(view, request))
        elif case.steps[-1].ok:
            actions.append(Answer(request=request, steps=(case.steps[-1].id,), label=case.steps[-1].label))
    return Decision(actions=tuple(actions))


def closed(effects: list[Effect]) -> list[RequestRecord]:
    return [e.record for e in effects if isinstance(e, Close)]


def dispatched(effects: list[Effect]) -> list[Infer | Load | Cancel]:
    return [e.order for e in effects if isinstance(e, Dispatch)]


def test_a_request_goes_out_comes_back_and_is_recorded_once() -> None:
    core = make(once)
    [order] = dispatched(core.handle(arrived(5)))
    assert isinstance(order, Infer)
    core.handle(ev.Sent(t=6, action=order.id))
    [record] = closed(core.handle(ev.Executed(t=9, action=order.id, execution=execution())))
    assert record.outcome is Outcome.COMPLETED
    assert record.correct is True
    assert record.response == 4
    assert (record.steps[0].decided, record.steps[0].sent, record.steps[0].answered) == (5, 6, 9)
    assert core.open_requests == 0
    # A late duplicate of the same answer changes nothing.
    assert core.handle(ev.Executed(t=10, action=order.id, execution=execution())) == []


def test_an_answer_may_tell_itself_when_its_order_had_left() -> None:
    core = make(once)
    [order] = dispatched(core.handle(arrived(5)))
    assert isinstance(order, Infer)
    [record] = closed(core.handle(ev.Executed(t=9, action=order.id, execution=execution(), sent=7)))
    assert record.steps[0].sent == 7


def test_deadlines_of_requests_that_have_ended_do_not_pile_up() -> None:
    core = make(once)
    for i in range(1000):
        [order] = dispatched(core.handle(arrived(i, i, deadline=10**9)))
        assert isinstance(order, Infer)
        core.handle(ev.Executed(t=i, action=order.id, execution=execution()))
    assert core.open_requests == 0
    assert len(core._book._deadlines) <= 100


def test_a_policy_sees_all_that_ended_since_it_was_asked_and_not_much_more() -> None:
    heard, seen, kept = 0, [], []

    def listen(now: Ns, view: View) -> Decision:
        nonlocal heard
        new, heard = view.finished_count - heard, view.finished_count
        seen.extend(view.finished[-1 - i].request.id for i in reversed(range(new)))
        kept.append(len(view.finished))
        return Decision()

    core = make(listen)
    many = 3 * FINISHED_WINDOW
    for i in range(many):
        core.handle(arrived(i, i, deadline=1000))
    assert len(closed(core.handle(ev.Tick(t=1000)))) == many
    core.handle(ev.Tick(t=1001))
    assert seen == list(range(many))
    core.handle(ev.Tick(t=1002))
    assert kept[-2:] == [many, FINISHED_WINDOW]


def test_a_failed_attempt_without_retry_is_failed_with_its_reason() -> None:
    core = make(once)
    [order] = dispatched(core.handle(arrived(5)))
    [record] = closed(core.handle(ev.Failed(t=8, action=order.id, error="cut")))  # type: ignore[union-attr]
    assert (record.outcome, record.reason, record.label, record.correct) == (
        Outcome.FAILED,
        "cut",
        None,
        None,
    )
    assert record.steps[0].error == "cut"


def test_a_board_that_goes_down_ends_what_its_driver_forgot() -> None:
    core = make(once)
    core.handle(arrived(5))
    [record] = closed(core.handle(ev.BoardDown(t=8, board="a", error="gone")))
    assert record.outcome is Outcome.FAILED


def test_waiting_past_the_deadline_expires_and_the_core_asks_to_be_woken_for_it() -> None:
    core = make(lambda _n, _v: Decision())
    effects = core.handle(arrived(5, deadline=50))
    assert WakeAt(50) in effects
    assert closed(core.handle(ev.Tick(t=49))) == []
    [record] = closed(core.handle(ev.Tick(t=50)))
    assert record.outcome is Outcome.EXPIRED


def test_in_flight_past_the_deadline_is_late_not_expired() -> None:
    core = make(once)
    [order] = dispatched(core.handle(arrived(5, deadline=50)))
    assert closed(core.handle(ev.Tick(t=60))) == []
    [record] = closed(core.handle(ev.Executed(t=70, action=order.id, execution=execution())))  # type: ignore[union-attr]
    assert record.outcome is Outcome.COMPLETED
    assert record.late


def test_a_request_left_waiting_after_a_late_low_answer_expires() -> None:
    def ask_then_nothing(now: Ns, view: View) -> Decision:
        new = [r for r in view.touched if not view.cases[r].steps]
        return Decision(actions=tuple(infer(view, r) for r in new))

    core = make(ask_then_nothing)
    [order] = dispatched(core.handle(arrived(5, deadline=50)))
    core.handle(ev.Tick(t=60))
    [record] = closed(core.handle(ev.Executed(t=70, action=order.id, execution=execution())))  # type: ignore[union-attr]
    assert record.outcome is Outcome.EXPIRED


def test_a_rejected_request_says_why_and_what_was_on_offer() -> None:
    core = make(
        lambda _n, v: Decision(
            actions=tuple(Reject(request=r, reason="no", best_accuracy=0.8) for r in v.touched)
        )
    )
    [record] = closed(core.handle(arrived(5)))
    assert (record.outcome, record.reason, record.best_accuracy) == (Outcome.REJECTED, "no", 0.8)


def speculate(now: Ns, view: View) -> Decision:
    """Ask both boards, take the first answer, cancel the other."""
    actions: list[Infer | Answer | Cancel] = []
    for request in view.touched:
        case = view.cases[request]
        if not case.steps:
            actions += [infer(view, request, "a"), infer(view, request, "b")]
        else:
            actions.append(Answer(request=request, steps=(case.steps[-1].id,), label=case.steps[-1].label))
            actions += [Cancel(action=a) for a in case.in_flight]
    return Decision(actions=tuple(actions))


@pytest.mark.parametrize("stage", ["before_sent", "before_start", "during"])
def test_the_record_of_a_speculation_waits_for_the_loser(stage: str) -> None:
    core = make(speculate)
    first, second = dispatched(core.handle(arrived(5)))
    assert isinstance(first, Infer)
    assert isinstance(second, Infer)
    effects = core.handle(ev.Executed(t=9, action=first.id, execution=execution()))
    assert dispatched(effects) == [Cancel(action=second.id)]
    assert closed(effects) == []
    [record] = closed(core.handle(ev.Cancelled(t=30, action=second.id, stage=stage)))
    assert record.ended == 9
    assert [s.cancelled for s in record.steps] == [None, stage]
    assert core.counters[f"cancelled_{stage}"] == 1


def test_a_loser_that_finished_anyway_counts_as_too_late() -> None:
    core = make(speculate)
    first, second = dispatched(core.handle(arrived(5)))
    core.handle(ev.Executed(t=9, action=first.id, execution=execution()))  # type: ignore[union-attr]
    core.handle(ev.Cancelled(t=10, action=second.id, stage="too_late"))  # type: ignore[union-attr]
    [record] = closed(core.handle(ev.Executed(t=11, action=second.id, execution=execution())))  # type: ignore[union-attr]
    assert record.steps[1].cancelled == "too_late"
    assert core.counters["cancelled_too_late"] == 1


def test_several_items_of_one_request_in_one_batch_settle_together() -> None:
    def regions(now: Ns, view: View) -> Decision:
        out: list[Infer | Answer] = []
        for request in view.touched:
            case = view.cases[request]
            if not case.steps:
                out.append(Infer(id=view.new_id(), board="a", model="m", batch=(Item(request=request),) * 2))
            elif not case.in_flight:
                out.append(Answer(request=request, steps=tuple(s.id for s in case.steps), label=1))
        return Decision(actions=tuple(out))

    core = make(regions)
    [order] = dispatched(core.handle(arrived(5)))
    [record] = closed(core.handle(ev.Executed(t=9, action=order.id, execution=execution(items=2))))  # type: ignore[union-attr]
    assert len(record.steps) == 2


def test_stop_aborts_what_is_open_and_nothing_comes_after() -> None:
    core = make(once)
    core.handle(arrived(5))
    core.handle(arrived(6, id_=1))
    effects = core.handle(ev.Stop(t=7, reason="interrupted"))
    assert {r.outcome for r in closed(effects)} == {Outcome.ABORTED}
    assert sum(isinstance(o, Cancel) for o in dispatched(effects)) == 2
    assert core.handle(arrived(8, id_=2)) == []


def test_an_order_for_an_unknown_board_names_the_one_that_was_meant() -> None:
    core = make(lambda _n, v: Decision(actions=tuple(infer(v, r, "A") for r in v.touched)))
    with pytest.raises(PolicyError, match="board 'A'"):
        core.handle(arrived(5))


def test_answering_twice_breaks_the_contract() -> None:
    core = make(
        lambda _n, v: Decision(actions=tuple(Answer(request=r, steps=(), label=0) for r in v.touched) * 2)
    )
    with pytest.raises(PolicyError, match="not open"):
        core.handle(arrived(5))


def test_the_view_tells_loads_residents_network_and_busy_time() -> None:
    seen: list[View] = []

    def look(now: Ns, view: View) -> Decision:
        seen.append(view)
        if "n" not in view.boards["a"].resident and "n" not in view.boards["a"].loading:
            return Decision(actions=(Load(id=view.new_id(), board="a", model="n", evict=("m",)),))
        return Decision()

    core = make(look)
    board = seen[-1].boards["a"]
    assert list(board.loading) == ["n"]
    assert "m" not in board.resident
    core.handle(ev.Loaded(t=3, action=1, board="a", model="n", load=5 * MS))
    assert dict(board.resident) == {"n": 1}
    core.handle(ev.NetworkSeen(t=4, board="a", rtt=7, up_bytes_per_s=10.0, down_bytes_per_s=20.0))
    assert (board.rtt, board.up_bytes_per_s, board.down_bytes_per_s) == (7, 10.0, 20.0)
    core.handle(ev.BoardDown(t=5, board="a", error="x"))
    assert board.health is Health.DOWN


def retry(now: Ns, view: View) -> Decision:
    """Speculate on both boards, batch of what is new, retry once on the other board, cancel at random."""
    actions: list[Infer | Answer | Cancel | Reject] = []
    for request in view.touched:
        case = view.cases[request]
        good = [s for s in case.steps if s.ok]
        if good:
            actions.append(Answer(request=request, steps=(good[0].id,), label=good[0].label))
            actions += [Cancel(action=a) for a in case.in_flight]
        elif not case.in_flight and len(case.steps) < 3:
            actions.append(infer(view, request, "ab"[len(case.steps) % 2]))
            if request % 3 == 0:
                actions.append(infer(view, request, "ba"[len(case.steps) % 2]))
        elif not case.in_flight and request % 2:
            actions.append(Reject(request=request, reason="enough"))
    return Decision(actions=tuple(actions), revisit=now + 40 if view.waiting else None)


def fates(seed: int) -> tuple[list[ev.CoreEvent], list[Effect], list[RequestRecord]]:
    """Play a random life of 30 requests on two unreliable boards; returns events, effects, records."""
    rng = random.Random(seed)
    core = make(retry)
    events: list[ev.CoreEvent] = []
    effects: list[Effect] = []
    flying: dict[int, Infer] = {}
    wake: Ns | None = None
    now = 0
    todo = 30

    def play(event: ev.CoreEvent) -> None:
        nonlocal wake
        events.append(event)
        for effect in core.handle(event):
            effects.append(effect)
            if isinstance(effect, Dispatch) and isinstance(effect.order, Infer):
                flying[effect.order.id] = effect.order
            if isinstance(effect, WakeAt):
                wake = effect.t

    while todo or core.open_requests:
        now += rng.randint(1, 20)
        assert now < 100_000, "a request hangs"
        choice = rng.random()
        if wake is not None and wake <= now:
            wake = None
            play(ev.Tick(t=now))
        elif todo and choice < 0.4:
            todo -= 1
            play(arrived(now, id_=todo, deadline=now + rng.choice([30, 300]) if rng.random() < 0.7 else None))
        elif flying:
            action = rng.choice(sorted(flying))
            kind = rng.random()
            if kind < 0.6:
                order = flying.pop(action)
                play(ev.Executed(t=now, action=action, execution=execution(items=len(order.batch))))
            elif kind < 0.75:
                flying.pop(action)
                play(ev.Failed(t=now, action=action, error="e"))
            elif kind < 0.9:
                flying.pop(action)
                play(
                    ev.Cancelled(
                        t=now, action=action, stage=rng.choice(["before_sent", "before_start", "during"])
                    )
                )
            else:
                board = flying[action].board
                for gone in [a for a, order in flying.items() if order.board == board]:
                    del flying[gone]
                play(ev.BoardDown(t=now, board=board, error="down"))
                play(ev.BoardUp(t=now, board=board, boot=2))
    return events, effects, [e.record for e in effects if isinstance(e, Close)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_happens_each_request_has_exactly_one_record(seed: int) -> None:
    _, _, records = fates(seed)
    assert sorted(r.request.id for r in records) == list(range(30))
    for record in records:
        assert record.outcome is not Outcome.UNFINISHED
        assert (record.label is None) == (record.outcome not in (Outcome.COMPLETED, Outcome.DEGRADED))
        assert all(step.decided <= step.answered for step in record.steps)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_replaying_the_event_log_gives_the_same_effects(seed: int) -> None:
    events, effects, _ = fates(seed)
    log = msgspec.json.encode(events)
    core = make(retry)
    again = [
        effect for event in msgspec.json.decode(log, type=list[ev.CoreEvent]) for effect in core.handle(event)
    ]
    assert again == effects
