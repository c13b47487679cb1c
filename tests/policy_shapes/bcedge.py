"""BCEdge (in the manner of): a bandit over (batch, instances) that learns from what finished."""

from __future__ import annotations

import math
import random

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item, Load
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.view import View
from testbed.units import MS, Ns

ARMS = ((1, 1), (4, 1), (8, 1), (1, 2), (4, 2), (8, 2))
SLOT = 200 * MS


class BcEdge:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.reward: dict[tuple[int, int], list[float]] = {arm: [] for arm in ARMS}
        self.arm, self.slot_end, self.seen = ARMS[0], 0, 0

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def learn(self, view: View) -> None:
        new = min(view.finished_count - self.seen, len(view.finished))
        self.seen = view.finished_count
        ended = [view.finished[-1 - i] for i in range(new)]
        for end in ended:
            waited, slo = (
                end.answered - end.request.arrival,
                (end.request.deadline or 0) - end.request.arrival,
            )
            self.reward[self.arm].append(math.log(new / (waited / slo)) - 3.0 * (waited > slo))
        untried = [a for a in ARMS if not self.reward[a]]
        if untried or self.random.random() < 0.1:
            self.arm = self.random.choice(untried or ARMS)
        else:
            self.arm = max(ARMS, key=lambda a: sum(self.reward[a][-50:]) / len(self.reward[a][-50:]))

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        if now >= self.slot_end:
            self.learn(view)
            self.slot_end = now + SLOT
        batch, instances = self.arm
        board = view.boards["xavier"]
        if board.resident.get("net", 0) != instances and not board.loading:
            actions.append(Load(id=view.new_id(), board="xavier", model="net", instances=instances))
        ready = []
        for request, case in view.waiting.items():
            if not case.steps:
                ready.append(case.request)
            elif case.steps[-1].ok:
                step = case.steps[-1]
                actions.append(Answer(request=request, steps=(step.id,), label=step.label))
        lanes = min(instances, board.resident.get("net", 0))
        while ready and lanes and (len(ready) >= batch or (ready[0].deadline or now) - now < 120 * MS):
            items, ready = ready[:batch], ready[batch:]
            lane = min(range(lanes), key=lambda i: board.busy_until[i])
            chosen = tuple(Item(request=r.id) for r in items)
            actions.append(Infer(id=view.new_id(), board="xavier", model="net", batch=chosen, instance=lane))
        flush = (ready[0].deadline or now) - 120 * MS + 1 if ready else None
        return Decision(actions=tuple(actions), revisit=flush if flush and flush > now else None)


def lab() -> ToyLab:
    net = ToyModel(name="net", parts_ms=(12.0,), next_item=0.2, load_ms=5.0)
    board = ToyBoard(id="xavier", resident=(("net", 1),))
    return ToyLab(BcEdge(seed=7), [board], [net], stream(900, 7 * MS, slack=250 * MS))


def check(lab: ToyLab) -> None:
    policy = lab._policy
    assert isinstance(policy, BcEdge)
    assert all(policy.reward.values())  # every arm was tried, and each was paid by what finished under it
    late = [o for t, o in lab.orders if isinstance(o, Infer) and t > 4_000 * MS]
    assert sum(len(o.batch) > 1 for o in late) > 0.6 * len(
        late
    )  # one at a time cannot keep up: it learns to batch
    assert {o.instances for _, o in lab.orders if isinstance(o, Load)} == {1, 2}
    assert {o.instance for _, o in lab.orders if isinstance(o, Infer)} == {0, 1}
