"""The lab's own rules: how requests end, what it objects to, when the policy is asked."""

import pytest

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.errors import PolicyError
from testbed.model.action import Answer, Cancel, Decision, Infer, Item, Load, Output, Region, Reject
from testbed.model.placement import Placement
from testbed.model.request import Outcome
from testbed.model.view import Health
from testbed.units import MS, S

BOARDS = (ToyBoard(id="a", resident=(("net", 1),)), ToyBoard(id="b", resident=(("net", 1),)))
NET = ToyModel(name="net", parts_ms=(10.0, 10.0), accuracy=(0.5, 0.9), kept_bytes=(1000, 0))


class Script:
    """Decides with a function of (now, view)."""

    def __init__(self, decide):
        self.decide = decide
        self.plans = 0

    def plan(self, demand, lab):
        self.plans += 1
        return Placement(settings={"plan": float(self.plans)})


def run(decide, requests=None, **more):
    lab = ToyLab(Script(decide), BOARDS, [NET], requests or stream(1, S), **more)
    lab.run()
    return lab


def order(view, request, board="a", **more):
    items = more.pop("items", (Item(request=request),))
    return Infer(id=view.new_id(), board=board, model="net", batch=items, **more)


def send_and_answer(now, view):
    actions = []
    for request, case in view.waiting.items():
        if not case.steps:
            actions.append(order(view, request))
        elif case.steps[-1].ok:
            actions.append(Answer(request=request, steps=(case.steps[-1].id,), label=1))
    return Decision(actions=tuple(actions))


def test_plain_answer():
    end = run(send_and_answer).ends[1]
    assert end.outcome is Outcome.COMPLETED
    assert end.steps[0].started < end.steps[0].finished < end.answered


def test_request_that_nobody_works_on_expires_at_its_deadline():
    end = run(lambda now, view: Decision()).ends[1]
    assert (end.outcome, end.answered) == (Outcome.EXPIRED, 200 * MS)


def test_failed_attempt_and_nothing_ordered_is_failed():
    end = run(send_and_answer, faults=[(5 * MS, "a", Health.DOWN)]).ends[1]
    assert end.outcome is Outcome.FAILED
    assert end.steps[0].error == "board is gone"


@pytest.mark.parametrize(
    "action",
    [
        lambda view: order(view, 1, "nowhere"),
        lambda view: order(view, 99),
        lambda view: order(view, 1, items=()),
        lambda view: order(view, 1, latest=-1),
        lambda view: Answer(request=99, steps=(), label=0),
        lambda view: Reject(request=99, reason="no"),
        lambda view: Load(id=view.new_id(), board="nowhere", model="net"),
    ],
)
def test_it_objects(action):
    with pytest.raises(PolicyError):
        run(lambda now, view: Decision(actions=(action(view),)))


def test_policy_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr("testbed.contracts.toy_lab.MAX_STEPS", 500)
    with pytest.raises(PolicyError, match="no end"):
        run(lambda now, view: Decision(revisit=now))


def test_revisit_replaces_and_none_clears():
    asked = []

    def decide(now, view):
        asked.append(now)
        return Decision(revisit={0: 50 * MS, 5 * MS: 70 * MS, 70 * MS: 90 * MS, 80 * MS: None}.get(now))

    requests = [*stream(1, S, start=0), *stream(1, S, start=80 * MS, first=2)]
    run(decide, requests, plan_cost=5 * MS)
    assert asked[:4] == [0, 5 * MS, 70 * MS, 80 * MS]
    assert 50 * MS not in asked
    assert 90 * MS not in asked


def test_replan_brings_a_new_placement_later():
    def decide(now, view):
        return Decision(replan=now == 0)

    lab = run(decide, plan_cost=30 * MS)
    assert [p.settings["plan"] for p in lab.plans] == [1.0, 2.0]


def test_touched_names_what_is_new_and_waiting_what_is_idle():
    seen = []

    def decide(now, view):
        seen.append((list(view.touched), list(view.waiting), view.finished_count))
        return send_and_answer(now, view)

    run(decide)
    assert ([1], [1], 0) in seen
    assert seen[-1][:2] == ([], [])
    assert seen[-1][2] == 1


def test_loser_may_be_cancelled_after_the_answer():
    def decide(now, view):
        actions = []
        for request in view.touched:
            case = view.cases[request]
            if not case.steps:
                actions += [order(view, request, "a"), order(view, request, "b", earliest=8 * MS)]
            else:
                actions.append(Answer(request=request, steps=(case.steps[-1].id,), label=1))
                actions += [Cancel(action=a) for a in (*case.in_flight, *case.in_flight, 999)]
        return Decision(actions=tuple(actions))

    lab = run(decide)
    assert lab.ends[1].outcome is Outcome.COMPLETED
    assert dict(lab.cancels) == {"during": 1}
    assert not lab._flights
    assert {m.queued for m in lab.machines.values()} == {0}


def test_partial_cancel_takes_only_its_requests():
    def decide(now, view):
        if now == 0 and len(view.waiting) == 2:
            both = order(view, 1, items=(Item(request=1), Item(request=2)))
            return Decision(actions=(both, Cancel(action=both.id, requests=(2,))))
        return send_and_answer(now, view) if now > 5 * MS else Decision()

    lab = run(decide, stream(2, 0))
    assert lab.ends[1].outcome is Outcome.COMPLETED
    assert [s.cancelled for s in lab.ends[2].steps][:1] == ["before_start"]


def test_output_is_fetched_over_both_links():
    def decide(now, view):
        actions = []
        for request, case in view.waiting.items():
            if not case.steps:
                actions.append(order(view, request, "a", layers=(0, 1), keep=True))
            elif len(case.steps) == 1:
                item = (Item(request=request, input=Output(case.steps[0].action)),)
                actions.append(order(view, request, "b", layers=(1, 2), items=item))
            else:
                actions.append(Answer(request=request, steps=(case.steps[-1].id,), label=1))
        return Decision(actions=tuple(actions))

    first, second = run(decide).ends[1].steps
    assert (first.board, second.board, second.exit) == ("a", "b", 1)
    # down A: 1 ms round trip and 1 ms for 1,000 bytes; up B: 1 ms and half a round trip
    assert second.started - first.answered == round(3.5 * MS)


def test_kept_outputs_go_when_their_request_has_ended():
    def decide(now, view):
        request = next(iter(view.waiting), None)
        if request is None:
            return Decision()
        if not view.waiting[request].steps:
            return Decision(actions=(order(view, request, layers=(0, 1), keep=True),))
        seen.append(len(lab.machines["a"].outputs))
        step = view.waiting[request].steps[-1]
        return Decision(actions=(Answer(request=request, steps=(step.id,), label=1),))

    seen = []
    lab = ToyLab(Script(decide), BOARDS, [NET], stream(3, 100 * MS))
    lab.run()
    assert seen == [1, 1, 1]
    assert lab.machines["a"].outputs == {}


def test_region_costs_its_share_of_the_bytes():
    def decide(now, view):
        if view.touched and not view.cases[1].steps:
            item = (Item(request=1, input=Region(1, (0, 0, 14, 14))),)
            return Decision(actions=(order(view, 1, items=item),))
        return send_and_answer(now, view)

    lab = run(decide, payload_bytes=40_000)
    assert lab.ends[1].steps[0].sent == 10 * MS


def test_sample_costs_nothing_on_the_board_that_made_it():
    lab = run(send_and_answer, stream(1, S, source="a"), payload_bytes=100_000)
    assert lab.ends[1].steps[0].sent == 0
