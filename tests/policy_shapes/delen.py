"""Delen: one multi-exit network; each application's bound becomes an exit rule, adapted to the load."""

from __future__ import annotations

import math

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, ExitRule, Infer, Item
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.profile import HwProfile
from testbed.model.request import Request
from testbed.model.view import View
from testbed.units import MS, Ns


class Delen:
    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def rule(self, request: Request, profile: HwProfile, queued: int) -> ExitRule:
        if queued > 3:
            return ExitRule.at(0)
        if request.max_energy_j is not None and profile.active_w is not None:
            joules = [profile.service_at(1, e) / 1e9 * profile.active_w.value for e in range(profile.exits)]
            return ExitRule.at(max((e for e, j in enumerate(joules) if j <= request.max_energy_j), default=0))
        if request.min_accuracy is not None:
            enough = (e for e, a in enumerate(profile.accuracy) if a.value >= request.min_accuracy)
            return ExitRule.at(next(enough, profile.exits - 1))
        if request.group == "hurried":  # a hard bound: the next part must still fit before it
            next_part = max(profile.service_of((e, e + 1)) for e in range(1, profile.exits))
            return ExitRule(min_confidence=(math.inf,) * 2, stop_after=15 * MS - next_part)
        return ExitRule(min_confidence=(0.9, 0.8))

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        board = view.boards["nano"]
        profile = view.profiles.find("nano", "multi")
        assert profile is not None
        for request in view.touched:
            case = view.cases[request]
            if case.steps and case.steps[-1].ok:
                step = case.steps[-1]
                actions.append(Answer(request=request, steps=(step.id,), label=step.label))
            elif not case.steps:
                item = Item(request=request, exit=self.rule(case.request, profile, board.queued))
                actions.append(Infer(id=view.new_id(), board="nano", model="multi", batch=(item,)))
        return Decision(actions=tuple(actions))


def lab() -> ToyLab:
    multi = ToyModel(name="multi", parts_ms=(4.0, 6.0, 8.0), accuracy=(0.5, 0.75, 0.9), kept_bytes=(0,) * 3)
    calm = [stream(15, 40 * MS, first=1 + 100 * i, start=20 * MS * i, group=g)
            for i, g in enumerate(("sure", "hurried"))]  # fmt: skip
    floor = stream(10, 40 * MS, first=300, start=700 * MS, min_accuracy=0.7)
    burst = stream(20, MS, first=400, start=1200 * MS, min_accuracy=0.9)
    return ToyLab(
        Delen(), [ToyBoard(id="nano", resident=(("multi", 1),))], [multi], calm[0] + calm[1] + floor + burst
    )


def check(lab: ToyLab) -> None:
    def exits(first: int, count: int) -> list[int]:
        return [lab.ends[i].steps[0].exit for i in range(first, first + count)]

    assert len(set(exits(1, 15))) == 3  # confidence: easy samples leave early
    hurried = [lab.ends[i].steps[0] for i in range(101, 116)]
    assert {s.exit for s in hurried} == {1}  # time bound: two parts fit into 15 ms, three do not
    assert all(s.finished and s.started is not None and s.finished - s.started <= 15 * MS for s in hurried)
    assert set(exits(300, 10)) == {1}  # accuracy floor 0.7: the second exit suffices
    assert {0, 2} <= set(exits(400, 20))  # load: the queue pushes exits forward
