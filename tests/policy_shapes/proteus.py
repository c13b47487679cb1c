"""Proteus: a mixed-integer program places variants for the demand; requests follow its shares, batches wait."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import TASK, ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item, Load, Reject
from testbed.model.placement import Demand, Hosted, LabSnapshot, Placement, Route
from testbed.model.view import CaseView, View
from testbed.units import MS, Ns, S


class Proteus:
    def __init__(self) -> None:
        self.sent: dict[str, int] = {}
        self.planned_for = 0.0

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        rate, slo = demand.ewma_hz.get(TASK, 1.0), demand.slack.get(TASK, 200 * MS)
        pairs = []
        for board in (b for b in lab.boards if b.up):
            for profile in lab.profiles.models_on(board.id, TASK):
                batch = max((b for b in (1, 2, 4, 8) if profile.service_at(b) < slo // 2), default=0)
                if batch:
                    peak = batch * S / profile.service_at(batch)
                    pairs.append((board.id, profile.model, batch, peak, profile.accuracy[0].value))
        boards, n = sorted({p[0] for p in pairs}), len(pairs)
        gain = np.array([0.0] * n + [p[4] for p in pairs])  # columns: hosts (0/1), then rates served
        one_each = np.array([[p[0] == b for p in pairs] + [False] * n for b in boards], dtype=float)
        capacity = np.hstack([-np.diag([p[3] for p in pairs]), 1.05 * np.eye(n)])
        total = np.array([[0.0] * n + [1.0] * n])
        found = milp(
            -gain,
            integrality=np.array([1] * n + [0] * n),
            bounds=Bounds(np.zeros(2 * n), np.array([1.0] * n + [rate] * n)),
            constraints=[
                LinearConstraint(one_each, ub=np.ones(len(boards))),
                LinearConstraint(capacity, ub=np.zeros(n)),
                LinearConstraint(total, ub=np.array([rate])),
            ],
        )
        assert found.x is not None  # serving nobody is always feasible
        hosts = [i for i in range(n) if found.x[i] > 0.5]
        return Placement(
            hosted=tuple(Hosted(board=pairs[i][0], model=pairs[i][1], max_batch=pairs[i][2]) for i in hosts),
            routes=tuple(
                Route(task=TASK, board=pairs[i][0], model=pairs[i][1], share=float(found.x[n + i]) / rate)
                for i in hosts
            ),
            settings={"rate_hz": rate},
        )

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        revisit: list[Ns] = []
        ready: list[CaseView] = []
        for case in view.waiting.values():
            step = case.steps[-1] if case.steps else None
            if step and step.ok:
                actions.append(Answer(request=case.request.id, steps=(step.id,), label=step.label))
            elif not step:
                ready.append(case)
        shares = {route.board: route.share for route in view.placement.routes}
        for host in view.placement.hosted:
            board = view.boards[host.board]
            if host.model not in board.resident and host.model not in board.loading:
                actions.append(
                    Load(id=view.new_id(), board=board.id, model=host.model, evict=tuple(board.resident))
                )
        live = [h for h in view.placement.hosted if h.model in view.boards[h.board].resident]
        while ready and live:
            host = min(live, key=lambda h: self.sent.get(h.board, 0) / max(shares[h.board], 1e-6))
            profile = view.profiles.find(host.board, host.model)
            assert profile is not None
            head = ready[0].request.deadline or now
            if now + profile.service_at(1) > head:
                actions.append(Reject(request=ready.pop(0).request.id, reason="too late"))
                continue
            batch = ready[: host.max_batch]
            start_by = head - profile.service_at(len(batch)) - view.boards[host.board].rtt - 20 * MS
            if len(batch) < host.max_batch and now < start_by:
                revisit.append(start_by)
                break
            ready = ready[len(batch) :]
            items = tuple(Item(request=c.request.id) for c in batch)
            actions.append(Infer(id=view.new_id(), board=host.board, model=host.model, batch=items))
            self.sent[host.board] = self.sent.get(host.board, 0) + len(batch)
        rate = view.demand.ewma_hz.get(TASK, 0.0)
        replan = rate > 1.5 * max(self.planned_for, 20.0)
        self.planned_for = rate if replan else self.planned_for
        return Decision(actions=tuple(actions), revisit=min(revisit, default=None), replan=replan)


def lab() -> ToyLab:
    boards = [ToyBoard(id="a", speed=1.0), ToyBoard(id="b", speed=0.5), ToyBoard(id="c", speed=0.25)]
    models = [
        ToyModel(name="exact", accuracy=(0.95,), parts_ms=(20.0,)),
        ToyModel(name="fast", accuracy=(0.8,), parts_ms=(4.0,)),
    ]
    calm = stream(20, 50 * MS, slack=300 * MS, start=200 * MS)
    burst = stream(300, 5 * MS, slack=300 * MS, first=100, start=1200 * MS)
    return ToyLab(Proteus(), boards, models, calm + burst)


def check(lab: ToyLab) -> None:
    # Calm demand is served by the exact variant, the burst needs fast ones: accuracy scales, not the hardware.
    assert {h.model for h in lab.plans[0].hosted if h.board == "a"} == {"exact"}
    assert "fast" in {h.model for h in lab.plans[-1].hosted}
    assert len(lab.plans) >= 2
    loads = [o for _, o in lab.orders if isinstance(o, Load)]
    assert any(o.model == "fast" and o.evict == ("exact",) for o in loads)
    assert max(len(o.batch) for _, o in lab.orders if isinstance(o, Infer)) > 1
    assert sum(r.share for r in lab.plans[0].routes) > 0.99
