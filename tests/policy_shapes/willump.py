"""Willump: a cascade of a small and a full model; the threshold is the cheapest that loses almost nothing."""

from __future__ import annotations

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel, answer, truth
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.view import View
from testbed.units import MS, Ns

SMALL = ToyModel(name="small", accuracy=(0.8,), parts_ms=(1.0,))
FULL = ToyModel(name="full", accuracy=(0.95,), parts_ms=(9.0,))


def threshold(validation: range) -> float:
    """Among 0.6 .. 1.0, the lowest whose cascade scores within 0.001 of the full model."""
    full = sum(answer(FULL, 0, s).label == truth(s) for s in validation) / len(validation)
    for tenths in range(6, 11):
        sure = tenths / 10
        looks = [(s, answer(SMALL, 0, s)) for s in validation]
        kept = [(a if a.confidence > sure else answer(FULL, 0, s)).label == truth(s) for s, a in looks]
        if sum(kept) / len(kept) > full - 0.001:
            return sure
    return 1.0


class Willump:
    def __init__(self, sure: float) -> None:
        self.sure = sure

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement(settings={"threshold": self.sure})

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        sure = view.placement.settings.get("threshold", 1.0)
        for request in view.touched:
            steps = view.cases[request].steps
            if steps and steps[-1].ok and (steps[-1].model == "full" or steps[-1].confidence > sure):
                actions.append(Answer(request=request, steps=(steps[-1].id,), label=steps[-1].label))
            elif not steps or steps[-1].ok:
                model = "full" if steps else "small"
                item = (Item(request=request),)
                actions.append(Infer(id=view.new_id(), board="cpu", model=model, batch=item))
        return Decision(actions=tuple(actions))


def lab() -> ToyLab:
    board = ToyBoard(id="cpu", resident=(("small", 1), ("full", 1)))
    return ToyLab(
        Willump(threshold(range(5000, 7000))), [board], [SMALL, FULL], stream(100, 8 * MS, start=10 * MS)
    )


def check(lab: ToyLab) -> None:
    depth = [len(end.steps) for end in lab.ends.values()]
    assert set(depth) == {1, 2}
    assert all(end.steps[0].model == "small" for end in lab.ends.values())
    right = sum(e.answer is not None and e.answer.label == truth(e.request.sample) for e in lab.ends.values())
    assert right >= 0.93 * len(depth)  # as good as the full model ...
    assert depth.count(1) > 20  # ... which many never see
