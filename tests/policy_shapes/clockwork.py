"""Clockwork: exact times, every action gets a window, what cannot make its deadline is refused on arrival."""

from __future__ import annotations

from testbed.contracts.toy_lab import ToyLab
from testbed.contracts.toy_models import ToyBoard, ToyModel
from testbed.contracts.toy_requests import stream
from testbed.model.action import Action, Answer, Decision, Infer, Item, Load, Reject
from testbed.model.execution import WINDOW_MISSED
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.request import Outcome
from testbed.model.view import View
from testbed.units import MS, Ns

JITTER = MS // 2


class Clockwork:
    """The controller keeps the calendar of each worker; a worker only does what its window says."""

    def __init__(self) -> None:
        self.calendar: dict[str, Ns] = {}
        self.used: dict[str, Ns] = {}

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        return Placement()

    def decide(self, now: Ns, view: View) -> Decision:
        actions: list[Action] = []
        for request, case in view.waiting.items():
            last = case.steps[-1] if case.steps else None
            if last is not None:
                if last.ok:
                    actions.append(Answer(request=request, steps=(last.id,), label=last.label))
                elif last.error == WINDOW_MISSED:
                    actions.append(Reject(request=request, reason="its window passed"))
                continue
            model, deadline = case.request.task, case.request.deadline or now
            slots = []
            for board in view.boards.values():
                profile = view.profiles.find(board.id, model)
                assert profile is not None
                assert profile.load_ms is not None
                cold = model not in board.resident and model not in board.loading
                if cold and self.calendar.get(board.id, 0) > now:
                    continue  # evicting fails what is queued for the evicted: only an idle worker may load
                load = 0 if model in board.resident else round(profile.load_ms.value * MS) + board.rtt
                start = max(self.calendar.get(board.id, 0), now + board.rtt // 2 + 2 * MS + load)
                slots.append((start, board.id, cold, profile.service_at(1, q=0.99), board.rtt))
            start, where, cold, service, rtt = min(slots, default=(deadline, "", False, 0, 0))
            if start + JITTER + service + rtt > deadline:
                actions.append(Reject(request=request, reason="no worker is free before its deadline"))
                continue
            board = view.boards[where]
            if cold:
                oldest = sorted(board.resident, key=lambda m: self.used.get(m, 0))
                evict = tuple(oldest[:1]) if len(board.resident) >= (board.memory_bytes or 1) else ()
                actions.append(Load(id=view.new_id(), board=where, model=model, evict=evict))
            self.calendar[where], self.used[model] = start + JITTER + service, start
            item = (Item(request=request),)
            window = Infer(
                id=view.new_id(), board=where, model=model, batch=item, earliest=start, latest=start + JITTER
            )
            actions.append(window)
        return Decision(actions=tuple(actions))


def lab() -> ToyLab:
    models = [ToyModel(name=f"m{i}", task=f"m{i}", parts_ms=(8.0,), load_ms=10.0) for i in range(3)]
    boards = [ToyBoard(id=b, memory_bytes=1, resident=((f"m{i}", 1),)) for i, b in enumerate(("w0", "w1"))]
    requests = stream(60, 12 * MS, slack=40 * MS, task="m0")
    requests += stream(
        60, 6 * MS, slack=40 * MS, first=101, task="m1", start=MS
    )  # more than one worker can do
    requests += stream(20, 12 * MS, slack=40 * MS, first=201, task="m2", start=800 * MS)
    return ToyLab(Clockwork(), boards, models, sorted(requests, key=lambda r: r.arrival))


def check(lab: ToyLab) -> None:
    outcomes = [e.outcome for e in lab.ends.values()]
    assert outcomes.count(Outcome.COMPLETED) > 60
    refused = [e for e in lab.ends.values() if e.reject is not None and not e.steps]
    assert len(refused) > 5
    assert all(e.answered == e.request.arrival for e in refused)  # at once, not when it is too late
    assert all(e.answered <= (e.request.deadline or 0) for e in lab.ends.values() if e.answer)
    assert any(o.evict for _, o in lab.orders if isinstance(o, Load))
    for machine in lab.machines.values():
        windows = [(r.order.earliest, r.order.latest, r.started) for r in machine.runs]
        assert all(a is not None and b is not None and a <= s <= b for a, b, s in windows)
