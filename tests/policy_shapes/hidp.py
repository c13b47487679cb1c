"""HiDP (in the manner of): a network is cut between boards by the sum of their cores, then placed on a core."""

from __future__ import annotations

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import TASK, ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item, Output
from testbed.model.placement import Core, Demand, LabSnapshot, Placement, Route
from testbed.model.view import View
from testbed.units import MS, Ns, S


class HiDP:
    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """The cut with the smallest bottleneck; a board is as fast as its cores together."""
        near, far = lab.boards
        ends: list[tuple[float, int]] = []
        profiles = [lab.profiles.find(b.id, "net") for b in (near, far)]
        assert profiles[0] is not None
        assert profiles[1] is not None
        parts = profiles[0].exits
        speed = [sum(c.relative_speed for c in b.cores) / b.cores[0].relative_speed for b in (near, far)]
        for cut in range(parts + 1):
            first = profiles[0].service_of((0, cut)) / speed[0] if cut else 0.0
            second = profiles[1].service_of((cut, parts)) / speed[1] if cut < parts else 0.0
            carried = (784, *profiles[0].kept_bytes)[cut] if cut < parts else 0
            ends.append((max(first, second, carried * S / far.up_bytes_per_s), cut))
        cut = min(ends)[1]
        stages = [(near.id, (0, cut)), (far.id, (cut, parts))]
        return Placement(
            routes=tuple(Route(task=TASK, board=b, model="net", layers=r) for b, r in stages if r[0] < r[1])
        )

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        stages = view.placement.routes
        free = {b.id: list(b.busy_until) for b in view.boards.values()}
        for request, case in view.waiting.items():
            done = [s for s in case.steps if s.ok]
            if not stages or len(done) < len(case.steps):
                continue
            if len(done) == len(stages):
                actions.append(Answer(request=request, steps=(done[-1].id,), label=done[-1].label))
                continue
            stage = stages[len(done)]
            item = Item(request=request, input=Output(done[-1].action)) if done else Item(request=request)
            board = view.boards[stage.board]
            work = 20 * MS  # local level: the core that would be through first
            ends = [
                max(t, now) + work / c.relative_speed
                for t, c in zip(free[board.id], board.cores, strict=False)
            ]
            core = ends.index(min(ends))
            free[board.id][core] = round(ends[core])
            last = len(done) == len(stages) - 1
            actions.append(
                Infer(
                    id=view.new_id(),
                    board=board.id,
                    model="net",
                    batch=(item,),
                    instance=core,
                    layers=stage.layers,
                    keep=not last,
                )
            )
        return Decision(actions=tuple(actions))


def lab() -> ToyLab:
    net = ToyModel(
        name="net",
        parts_ms=(6.0, 6.0, 6.0, 6.0),
        accuracy=(0.3, 0.5, 0.7, 0.9),
        kept_bytes=(6000, 2000, 900, 0),
        memory_bytes=1,
    )
    boards = [
        ToyBoard(
            id="near",
            resident=(("net", 3),),
            cores=(
                Core(name="gpu", relative_speed=1.0),
                Core(name="big", relative_speed=0.5),
                Core(name="little", relative_speed=0.25),
            ),
        ),
        ToyBoard(
            id="far",
            resident=(("net", 2),),
            up_bytes_per_s=2e5,
            down_bytes_per_s=2e5,
            cores=(Core(name="gpu", relative_speed=1.5), Core(name="big", relative_speed=0.5)),
        ),
    ]
    return ToyLab(HiDP(), boards, [net], stream(60, 6 * MS, slack=400 * MS, start=10 * MS))


def check(lab: ToyLab) -> None:
    first, second = lab.plans[0].routes
    assert first.layers is not None
    assert second.layers is not None
    assert first.layers[1] == second.layers[0] in (1, 2, 3)
    for end in lab.ends.values():
        assert [s.board for s in end.steps] == ["near", "far"]
        assert end.steps[-1].exit == 3
    used = {(r.order.board, r.order.instance) for m in lab.machines.values() for r in m.runs}
    assert {("near", 0), ("near", 1), ("far", 0)} <= used  # the second level: more than the default core
    carried = [o for _, o in lab.orders if isinstance(o, Infer) and o.keep]
    assert len(carried) == 60
