"""Adaptive workload distribution (in the manner of): shares of a job and accuracy levels are chosen together."""

from __future__ import annotations

from itertools import product

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import TASK, ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item
from testbed.model.placement import Demand, LabSnapshot, Placement, Route
from testbed.model.view import Health, View
from testbed.units import MS, Ns, S

LEVELS = ("exact", "fast")
FLOOR = 0.85


class WorkloadDistribution:
    """A job of many inputs is as many requests of one group, split by speed so that all boards end together."""

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        wanted = 1.2 * demand.ewma_hz.get(TASK, 420.0)
        best: tuple[tuple[float, float], list[float], tuple[str, ...]] | None = None
        up = [b.id for b in lab.boards if b.up]
        for levels in product(LEVELS, repeat=len(up)):
            found = [lab.profiles.find(b, m) for b, m in zip(up, levels, strict=True)]
            speed = [8 * S / p.service_at(8) for p in found if p is not None]
            accuracy = sum(v * p.accuracy[0].value for v, p in zip(speed, found, strict=True) if p) / sum(
                speed
            )
            if accuracy >= FLOOR:
                key = (min(sum(speed), wanted), accuracy)  # reach the rate, then be as accurate as possible
                if best is None or key > best[0]:
                    best = (key, [v / sum(speed) for v in speed], levels)
        assert best is not None
        shares = zip(up, best[1], best[2], strict=True)
        return Placement(routes=tuple(Route(task=TASK, board=b, model=m, share=s) for b, s, m in shares))

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        job: list[int] = []
        for request, case in view.waiting.items():
            if case.steps and case.steps[-1].ok:
                step = case.steps[-1]
                actions.append(Answer(request=request, steps=(step.id,), label=step.label))
            elif not case.steps:
                job.append(request)
        live = {b.id for b in view.boards.values() if b.health is Health.UP}
        routes = view.placement.routes
        replan = bool(routes) and {r.board for r in routes} != live  # a board left or joined: shares anew
        if replan or not routes or len(job) < 40:  # a job is complete with 40 inputs
            return Decision(actions=tuple(actions), replan=replan)
        start = 0.0
        for route in routes:
            mine = job[round(start * len(job)) : round((start + route.share) * len(job))]
            start += route.share
            for i in range(0, len(mine), 8):
                items = tuple(Item(request=r) for r in mine[i : i + 8])
                actions.append(Infer(id=view.new_id(), board=route.board, model=route.model, batch=items))
        return Decision(actions=tuple(actions))


def lab() -> ToyLab:
    speeds = {"xu4": 1.0, "pi": 0.5, "nano": 2.0}
    boards = [ToyBoard(id=b, speed=v, resident=(("exact", 1), ("fast", 1))) for b, v in speeds.items()]
    models = [
        ToyModel(name="exact", accuracy=(0.95,), parts_ms=(16.0,)),
        ToyModel(name="fast", accuracy=(0.8,), parts_ms=(6.0,)),
    ]
    jobs = [
        stream(40, 0, first=1 + 40 * j, start=(20 + 500 * j) * MS, slack=None, group=f"job{j}")
        for j in range(4)
    ]
    return ToyLab(
        WorkloadDistribution(),
        boards,
        models,
        [r for job in jobs for r in job],
        faults=[(1200 * MS, "nano", Health.DOWN)],
    )


def check(lab: ToyLab) -> None:
    shares = {r.board: r.share for r in lab.plans[0].routes}
    assert abs(sum(shares.values()) - 1.0) < 1e-9
    assert shares["pi"] < min(shares["nano"], shares["xu4"])  # the slowest gets least
    levels = {r.model for r in lab.plans[0].routes}
    assert levels == {"exact", "fast"}  # accuracy is given up where it buys most speed, and only there
    ends = {b: max(r.finished for r in m.runs if r.started < 500 * MS) for b, m in lab.machines.items()}
    assert max(ends.values()) - min(ends.values()) < 60 * MS  # all boards end about together
    assert {r.board for r in lab.plans[-1].routes} == {"xu4", "pi"}  # one left: shares anew
    assert all(e.steps[-1].board != "nano" for e in lab.ends.values() if e.request.arrival > 1200 * MS)
