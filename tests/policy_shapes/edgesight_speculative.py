"""EdgeSight, speculative: edge and data centre start together, a confident edge answer stops the backend."""

from __future__ import annotations

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Cancel, Decision, Infer, Item, Transport
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.view import View
from testbed.units import MS, Ns

TAU = 0.6


class Speculative:
    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        for request in view.touched:
            case = view.cases[request]
            if not case.steps:
                for board, model, how in (
                    ("edge", "front", Transport.LOSSY),
                    ("dc", "back", Transport.RELIABLE),
                ):
                    item = (Item(request=request),)
                    actions.append(
                        Infer(id=view.new_id(), board=board, model=model, batch=item, transport=how)
                    )
                continue
            done = [s for s in case.steps if s.ok and (s.board == "dc" or s.confidence >= TAU)]
            if done:
                actions.append(Answer(request=request, steps=(done[0].id,), label=done[0].label))
                actions.extend(Cancel(action=loser) for loser in case.in_flight)
        return Decision(actions=tuple(actions))


def lab() -> ToyLab:
    boards = [
        ToyBoard(id="edge", resident=(("front", 1),)),
        ToyBoard(id="dc", site="dc", resident=(("back", 1),), rtt=30 * MS),
    ]
    models = [
        ToyModel(name="front", accuracy=(0.8,), parts_ms=(3.0,)),
        ToyModel(name="back", accuracy=(0.95,), parts_ms=(8.0,)),
    ]
    return ToyLab(Speculative(), boards, models, stream(60, 12 * MS))


def check(lab: ToyLab) -> None:
    used = {end.answer.steps[0][0] for end in lab.ends.values() if end.answer}
    by = {o.id: o.board for _, o in lab.orders if isinstance(o, Infer)}
    assert {by[action] for action in used} == {"edge", "dc"}
    # The loser really is stopped: the backend starts far fewer than it was sent.
    stopped = lab.cancels["before_start"] + lab.cancels["during"] + lab.cancels["before_sent"]
    assert stopped == sum(by[a] == "edge" for a in used) > 20
    assert len(lab.machines["dc"].runs) < 60
