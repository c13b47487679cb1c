"""HarmonyBatch: applications with different deadlines share a function; groups are merged while that is cheaper."""

from __future__ import annotations

import math
from itertools import pairwise

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import TASK, ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item
from testbed.model.placement import BoardSnapshot, Demand, Hosted, LabSnapshot, Placement, Route
from testbed.model.profile import HwProfile
from testbed.model.view import CaseView, View
from testbed.units import MS, Ns, S

Apps = tuple[str, ...]


def provision(apps: Apps, demand: Demand, board: BoardSnapshot, profile: HwProfile) -> tuple[float, int]:
    """Cost per second of one group on one board, and the batch it can fill within everybody's patience."""
    rate = sum(demand.group_hz[a] for a in apps)
    best = (math.inf, 1)
    for batch in (1, 2, 4, 8):
        wait = min(demand.group_slack[a] for a in apps) - profile.service_at(batch) - 20 * MS
        if wait >= 0 and batch <= rate * wait / S + 1:
            best = min(
                best, (rate / batch * profile.service_at(batch) / S * (board.price_per_s or 1.0), batch)
            )
    return best


class HarmonyBatch:
    def __init__(self) -> None:
        self.groups: dict[str, Route] = {}

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        groups: list[Apps] = [(a,) for a in sorted(demand.group_slack, key=lambda a: demand.group_slack[a])]

        def cheapest(apps: Apps) -> tuple[float, int, str]:
            found = []
            for board in lab.boards:
                profile = lab.profiles.find(board.id, "net")
                assert profile is not None
                found.append((*provision(apps, demand, board, profile), board.id))
            return min(found)

        while True:  # merge neighbours in deadline order while it pays
            gains = [
                (cheapest(a)[0] + cheapest(b)[0] - cheapest(a + b)[0], a, b) for a, b in pairwise(groups)
            ]
            if not gains or max(gains)[0] <= 0:
                break
            _, a, b = max(gains)
            groups[groups.index(a) : groups.index(b) + 1] = [a + b]
        hosted, routes = [], []
        for apps in groups:
            _, batch, board_id = cheapest(apps)
            profile = lab.profiles.find(board_id, "net")
            assert profile is not None
            hosted.append(Hosted(board=board_id, model="net", max_batch=batch))
            for app in apps:
                wait = max(demand.group_slack[app] - profile.service_at(batch) - 20 * MS, 0)
                routes.append(Route(task=TASK, board=board_id, model="net", group=app, wait=wait))
        return Placement(hosted=tuple(hosted), routes=tuple(routes))

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        routes = {r.group: r for r in view.placement.routes}
        queues: dict[str, list[CaseView]] = {}
        for request, case in view.waiting.items():
            if case.steps and case.steps[-1].ok:
                step = case.steps[-1]
                actions.append(Answer(request=request, steps=(step.id,), label=step.label))
            elif not case.steps and case.request.group in routes:
                queues.setdefault(routes[case.request.group].board, []).append(case)
        revisit: list[Ns] = []
        for board, queue in queues.items():
            largest = max(h.max_batch for h in view.placement.hosted if h.board == board)
            due = min(c.request.arrival + routes[c.request.group].wait for c in queue)
            if len(queue) < largest and now < due:
                revisit.append(due)
                continue
            for start in range(0, len(queue), largest):
                items = tuple(Item(request=c.request.id) for c in queue[start : start + largest])
                actions.append(Infer(id=view.new_id(), board=board, model="net", batch=items))
        unplanned = len(view.demand.group_hz) > len(routes) and now > 150 * MS
        return Decision(actions=tuple(actions), revisit=min(revisit, default=None), replan=unplanned)


def lab() -> ToyLab:
    boards = [
        ToyBoard(id="cpu", speed=0.5, price_per_s=1.0, resident=(("net", 1),)),
        ToyBoard(id="gpu", speed=4.0, price_per_s=4.0, resident=(("net", 1),)),
    ]
    net = ToyModel(name="net", parts_ms=(10.0,), next_item=0.1)
    apps = [("tight", 60, 120), ("middle", 300, 40), ("loose", 500, 20)]
    requests = [
        r
        for i, (app, slack, gap) in enumerate(apps)
        for r in stream(
            3000 // gap, gap * MS, slack=slack * MS, first=1000 * i + 1, group=app, start=(30 + i) * MS
        )
    ]
    return ToyLab(HarmonyBatch(), boards, [net], sorted(requests, key=lambda r: r.arrival))


def check(lab: ToyLab) -> None:
    routes = {r.group: r for r in lab.plans[-1].routes}
    assert set(routes) == {"tight", "middle", "loose"}
    assert routes["middle"].wait < routes["loose"].wait
    mixed = [
        o for _, o in lab.orders if isinstance(o, Infer) and len({i.request // 1000 for i in o.batch}) > 1
    ]
    assert mixed, "merged applications share batches"
    late = [
        e
        for e in lab.ends.values()
        if e.request.arrival > 500 * MS and e.answered > (e.request.deadline or 0)
    ]
    assert len(late) <= 0.02 * len(lab.ends)
