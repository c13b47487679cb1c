"""SneakPeek (in the manner of): a cheap look at the data corrects each variant's accuracy before one is chosen."""

from __future__ import annotations

import msgspec

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import CLASSES, ToyBoard, ToyModel, truth
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.profile import ProfileBook
from testbed.model.view import CaseView, View
from testbed.units import MS, Ns

WINDOW = 20 * MS
VARIANTS = ("even-expert", "odd-expert")


class SneakPeek:
    def __init__(self, profiles: ProfileBook) -> None:
        self.profiles = profiles

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def expected(self, case: CaseView, model: str) -> float:
        """Accuracy on this very input: per-class accuracy, weighted by what the look suggests."""
        profile, seen = self.profiles.find("gpu", model), case.steps[0].scores
        assert profile is not None
        assert seen is not None
        prior = 0.5 / CLASSES
        weights = [prior + 4 * s for s in seen]
        return sum(w * a for w, a in zip(weights, profile.class_accuracy[0], strict=True)) / sum(weights)

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        window: list[CaseView] = []
        for request, case in view.waiting.items():
            if not case.steps:
                item = (Item(request=request),)
                actions.append(Infer(id=view.new_id(), board="gpu", model="peek", batch=item, instance=1))
            elif not case.steps[-1].ok:
                continue
            elif (
                len(case.steps) == 2 or case.steps[0].confidence > 0.97
            ):  # short-circuit: the look itself suffices
                step = case.steps[-1]
                actions.append(Answer(request=request, steps=(step.id,), label=step.label))
            else:
                window.append(case)
        oldest = min((c.steps[0].answered for c in window), default=now)
        if window and now < oldest + WINDOW:
            return Decision(actions=tuple(actions), revisit=oldest + WINDOW)
        groups: dict[str, list[CaseView]] = {}
        for case in window:
            _, model = max((self.expected(case, m), m) for m in VARIANTS)
            groups.setdefault(model, []).append(case)
        urgent = sorted(groups, key=lambda m: min(c.request.deadline or now for c in groups[m]))
        for model in urgent:
            items = tuple(Item(request=c.request.id) for c in groups[model])
            actions.append(Infer(id=view.new_id(), board="gpu", model=model, batch=items))
        return Decision(actions=tuple(actions))


def lab() -> ToyLab:
    boards = [ToyBoard(id="gpu", resident=(("peek", 2), *((v, 1) for v in VARIANTS)))]
    models = [ToyModel(name="peek", accuracy=(0.7,), parts_ms=(0.4,))]
    models += [ToyModel(name=v, accuracy=(0.9,), parts_ms=(6.0,)) for v in VARIANTS]
    made = ToyLab(SneakPeek(ProfileBook(rows={})), boards, models, stream(80, 6 * MS))
    rows = dict(made.profiles.rows)
    for parity, variant in enumerate(VARIANTS):
        knows = tuple(0.99 if c % 2 == parity else 0.6 for c in range(CLASSES))
        rows["gpu", variant] = msgspec.structs.replace(rows["gpu", variant], class_accuracy=(knows,))
    made.profiles = ProfileBook(rows=rows)
    return ToyLab(SneakPeek(made.profiles), boards, models, stream(80, 6 * MS))


def check(lab: ToyLab) -> None:
    first: dict[int, str] = {}
    for _, order in lab.orders:
        if isinstance(order, Infer):
            for item in order.batch:
                first.setdefault(item.request, order.model)
    assert set(first.values()) == {"peek"}
    right = wrong = short = 0
    for end in lab.ends.values():
        if len(end.steps) == 1:
            short += 1
        elif end.steps[0].label == truth(end.request.sample):
            right += end.steps[1].model == VARIANTS[truth(end.request.sample) % 2]
            wrong += end.steps[1].model != VARIANTS[truth(end.request.sample) % 2]
    assert right > 20 > wrong == 0
    assert short > 0
    assert max(len(o.batch) for _, o in lab.orders if isinstance(o, Infer)) > 1
