"""Fixed models and adaptive batching in the manner of Clipper (Crankshaw et al., NSDI 2017).

Each task is served by one model, chosen once: the cheapest whose accuracy reaches the highest target that anybody
asks for, or the most accurate one. Every board that holds it takes batches from one queue per task whenever a
lane is free. The largest batch grows by one while batches of that size keep the objective, and shrinks by a tenth when
one does not (additive increase, multiplicative decrease).

A baseline refuses nothing. The objective is the shortest time from arrival to deadline in a batch.

Source: the AIMD rule of the paper; the released code's budget of 0.92 of the deadline is used as the objective. Its
model selection by bandits is left out: the model is fixed, as in the comparisons that other systems make with it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.action import Action, Answer, Decision, Infer, Item, Prediction
from testbed.model.lab import parse_options
from testbed.model.placement import Demand, Hosted, LabSnapshot, Placement
from testbed.model.view import Health
from testbed.policy import PolicySettings
from testbed.policy.residents import Residents
from testbed.policy.runners import Runner, make_runner
from testbed.units import Ns

if TYPE_CHECKING:
    from testbed.model.ids import BoardId, TaskId
    from testbed.model.profile import HwProfile
    from testbed.model.view import CaseView, View
    from testbed.ports import Policy

ATTEMPTS = 2
BUDGET = 0.92
DECREASE = 0.9
LARGEST = 64


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy's table in a campaign file.

    Attributes:
        sites: where the models may run; all by default.
        model: the one to use, instead of choosing by accuracy.
        most_accurate: take the most accurate model instead of the cheapest that suffices for everybody.
    """

    sites: tuple[str, ...] = ()
    model: str | None = None
    most_accurate: bool = False


class Lane:
    """One board: how large its batches may be."""

    def __init__(self, runner: Runner, accuracy: float) -> None:
        """Batches of one."""
        self.runner = runner
        self.accuracy = accuracy
        self.cap = 1.0

    def saw(self, batch: int, took: Ns, objective: Ns | None) -> None:
        """A batch came back."""
        if objective is not None and took > BUDGET * objective:
            self.cap = max(1.0, self.cap * DECREASE)
        elif batch >= int(self.cap):
            self.cap = min(float(LARGEST), self.cap + 1.0)


class Clipper:
    """One model a task, batches as large as the objective allows."""

    def __init__(self, settings: PolicySettings) -> None:
        """Choose the models.

        Raises:
            ConfigError: an option that does not exist.
        """
        options = parse_options(settings.options, Options, file="policy clipper", key="options")
        found: dict[TaskId, list[tuple[BoardId, HwProfile]]] = {}
        for site, boards in settings.sites.items():
            for board in boards if not options.sites or site in options.sites else ():
                for model in settings.models.get(board, ()):
                    profile = settings.profiles.find(board, model)
                    if profile is not None and options.model in (None, model):
                        found.setdefault(profile.task, []).append((board, profile))
        self._lanes: dict[TaskId, dict[BoardId, Lane]] = {}
        for task, known in found.items():
            wanted = settings.thresholds.targets(task) if settings.thresholds is not None else ()
            least = max(wanted, default=0.0)
            chosen = _choose([p for _, p in known], least, most_accurate=options.most_accurate)
            self._lanes[task] = {
                board: Lane(make_runner(profile), profile.accuracy[-1].value)
                for board, profile in known
                if profile.model == chosen
            }
        self._residents = Residents()

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """The chosen models stay resident."""
        return Placement(
            hosted=tuple(
                Hosted(board=board, model=lane.runner.model)
                for lanes in self._lanes.values()
                for board, lane in lanes.items()
            )
        )

    def decide(self, now: Ns, view: View) -> Decision:
        """Answer what came back, then fill every free lane with the oldest requests."""
        actions = self._residents.missing(view, view.placement.hosted, view.touched_boards)
        queues: dict[TaskId, list[CaseView]] = {}
        seen: set[int] = set()
        for case in view.waiting.values():
            last = case.steps[-1] if case.steps else None
            if last is not None and last.ok:
                lane = self._lanes[case.request.task][last.board]
                if last.id[0] not in seen:
                    seen.add(last.id[0])
                    slack = (
                        None
                        if case.request.deadline is None
                        else case.request.deadline - case.request.arrival
                    )
                    lane.saw(last.batch, last.answered - last.decided, slack)
                short = lane.accuracy < (case.request.min_accuracy or 0.0)
                actions.append(
                    Answer(request=case.request.id, steps=(last.id,), label=last.label, degraded=short)
                )
            elif len(case.steps) < ATTEMPTS:
                queues.setdefault(case.request.task, []).append(case)
        for task, queue in queues.items():
            self._fill(now, view, task, queue, actions)
        return Decision(actions=tuple(actions))

    def _fill(self, now: Ns, view: View, task: TaskId, queue: list[CaseView], actions: list[Action]) -> None:
        """A batch for each free lane, the quickest board first."""
        waiting = iter(queue)
        for board, lane in sorted(
            self._lanes.get(task, {}).items(), key=lambda kv: (kv[1].runner.service, kv[0])
        ):
            state = view.boards[board]
            copies = state.resident.get(lane.runner.model, 0)
            if state.health is Health.DOWN or not copies:
                continue
            for instance in range(min(copies, len(state.busy_until))):
                if state.busy_until[instance] > now:
                    continue
                batch = list(islice(waiting, int(lane.cap)))
                if not batch:
                    return
                actions.append(_infer(view, board, lane, instance, batch, now))


def _infer(view: View, board: BoardId, lane: Lane, instance: int, batch: list[CaseView], now: Ns) -> Infer:
    runner = lane.runner
    profile = view.profiles.find(board, runner.model)
    service = profile.service_at(len(batch)) if profile is not None else 0
    return Infer(
        id=view.new_id(),
        board=board,
        model=runner.model,
        instance=instance,
        batch=tuple(Item(request=case.request.id) for case in batch),
        expected=Prediction(
            finish=now + service + view.boards[board].rtt, accuracy=lane.accuracy, origin=runner.origin
        ),
    )


def _choose(profiles: list[HwProfile], least: float, *, most_accurate: bool) -> str:
    """The model that serves everybody."""
    best = max(p.accuracy[-1].value for p in profiles)
    bar = best if most_accurate else min(least, best)
    able = [p for p in profiles if p.accuracy[-1].value >= bar]
    return min(able, key=lambda p: (p.service_at(), p.model)).model


def clipper(settings: PolicySettings) -> Policy:
    """Entry point ``clipper``."""
    return Clipper(settings)
