"""Baseline: every request goes to the data centre, to whichever of its boards would be through first.

A baseline refuses nothing: it answers below the target and after the deadline too, whatever the request allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.action import Action, Answer, Decision
from testbed.model.lab import parse_options
from testbed.model.placement import Demand, Hosted, LabSnapshot, Placement
from testbed.policy import DC, PolicySettings
from testbed.policy.runners import Residents, Runner, infer, make_runner, soonest, unknown_runner

if TYPE_CHECKING:
    from testbed.model.ids import BoardId, ModelId, TaskId
    from testbed.model.view import View
    from testbed.ports import Policy
    from testbed.units import Ns

ATTEMPTS = 2


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It has none."""


class DcOnly:
    """The most accurate model of the data centre, for everything."""

    def __init__(self, settings: PolicySettings) -> None:
        """Check the options.

        Raises:
            ConfigError: an option that does not exist.
        """
        parse_options(settings.options, Options, file="policy dc-only", key="options")
        self._settings = settings
        rows = settings.thresholds.rows if settings.thresholds is not None else ()
        self._calibrated: dict[tuple[TaskId, ModelId], float] = {
            (r.task, r.backend): r.backend_accuracy for r in rows
        }
        self._runners: dict[TaskId, tuple[Runner, ...]] = {}
        self._residents = Residents()

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """Everything stays resident."""
        return Placement(hosted=tuple(Hosted(board=b, model=m) for b, m in self._models()))

    def decide(self, now: Ns, view: View) -> Decision:
        """Order what came, answer what was told, and try a failed attempt once more elsewhere."""
        actions: list[Action] = [*self._residents.missing(view, view.placement.hosted)]
        given: dict[BoardId, int] = {}
        for case in view.waiting.values():
            last = case.steps[-1] if case.steps else None
            request = case.request
            runners = self._for(request.task)
            if last is not None and last.ok:
                accuracy = next((r.accuracy for r in runners if r.model == last.model), None)
                short = accuracy is not None and accuracy < (request.min_accuracy or 0.0)
                actions.append(Answer(request=request.id, steps=(last.id,), label=last.label, degraded=short))
            elif len(case.steps) < ATTEMPTS:
                tried = frozenset(step.board for step in case.steps)
                size = view.payload_bytes(request.id)
                pick = soonest(view, now, runners, size, without=tried, given=given)
                if pick is not None:
                    actions.append(infer(view, request.id, pick))
                    given[pick.runner.board] = given.get(pick.runner.board, 0) + 1
        return Decision(actions=tuple(actions))

    def _models(self) -> list[tuple[BoardId, ModelId]]:
        settings = self._settings
        return [(b, m) for b in settings.sites.get(DC, ()) for m in settings.models.get(b, ())]

    def _for(self, task: TaskId) -> tuple[Runner, ...]:
        """The most accurate ones known for a task, by calibration or else by profile."""
        found = self._runners.get(task)
        if found is None:
            everything = [self._runner(task, board, model) for board, model in self._models()]
            best = max((r.accuracy or 0.0 for r in everything), default=0.0)
            found = tuple(r for r in everything if (r.accuracy or 0.0) >= best)
            self._runners[task] = found
        return found

    def _runner(self, task: TaskId, board: BoardId, model: ModelId) -> Runner:
        profile = self._settings.profiles.find(board, model)
        accuracy = self._calibrated.get((task, model))
        if profile is None:
            return unknown_runner(board, model, accuracy)
        known = profile.accuracy[-1].value if profile.task == task else None
        return make_runner(profile, board, accuracy=known if accuracy is None else accuracy)


def dc_only(settings: PolicySettings) -> Policy:
    """Entry point ``dc-only``."""
    return DcOnly(settings)
