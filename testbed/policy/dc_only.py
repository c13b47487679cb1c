"""Baseline: every request goes to the data centre, to whichever of its boards would be through first.

A baseline refuses nothing: it answers below the target and after the deadline too, whatever the request allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.action import Answer, Decision
from testbed.model.lab import parse_options
from testbed.model.placement import Demand, Hosted, LabSnapshot, Placement
from testbed.policy import DC, PolicySettings
from testbed.policy.fleet import Fleet
from testbed.policy.residents import Residents
from testbed.policy.runners import Runner, infer, make_runner, unknown_runner
from testbed.policy.teams import Team, soonest, teams_of

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
        self._teams: dict[TaskId, tuple[Team, ...]] = {}
        self._residents = Residents()
        self._fleet = Fleet.of(settings)
        self._hosted = tuple(Hosted(board=b, model=m) for b, m in self._models())

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """Everything stays resident."""
        return Placement(hosted=self._hosted)

    def decide(self, now: Ns, view: View) -> Decision:
        """Order what came, answer what was told, and try a failed attempt once more elsewhere."""
        changed = self._fleet.see(view)
        actions = self._residents.missing(view, view.placement.hosted, changed)
        given: dict[BoardId, int] = {}
        for case in view.waiting.values():
            last = case.steps[-1] if case.steps else None
            request = case.request
            teams = self._for(request.task)
            if last is not None and last.ok:
                accuracy = next((r.accuracy for t in teams for r in t.runners if r.model == last.model), None)
                short = accuracy is not None and accuracy < (request.min_accuracy or 0.0)
                actions.append(Answer(request=request.id, steps=(last.id,), label=last.label, degraded=short))
            elif len(case.steps) < ATTEMPTS:
                tried = frozenset(step.board for step in case.steps)
                size = view.payload_bytes(request.id)
                pick = soonest(view, now, teams, size, without=tried, given=given)
                if pick is not None:
                    actions.append(infer(view, request.id, pick))
                    given[pick.board] = given.get(pick.board, 0) + 1
        return Decision(actions=tuple(actions))

    def _models(self) -> list[tuple[BoardId, ModelId]]:
        settings = self._settings
        return [(b, m) for b in settings.sites.get(DC, ()) for m in settings.models.get(b, ())]

    def _for(self, task: TaskId) -> tuple[Team, ...]:
        """The most accurate ones known for a task, by calibration or else by profile."""
        found = self._teams.get(task)
        if found is None:
            able: dict[BoardId, list[Runner]] = {}
            for board, model in self._models():
                able.setdefault(board, []).append(self._runner(task, board, model))
            best = max((r.accuracy or 0.0 for runners in able.values() for r in runners), default=0.0)
            for board, runners in able.items():
                able[board] = [r for r in runners if (r.accuracy or 0.0) >= best]
            found = self._teams[task] = teams_of(self._fleet, able)
        return found

    def _runner(self, task: TaskId, board: BoardId, model: ModelId) -> Runner:
        profile = self._settings.profiles.find(board, model)
        accuracy = self._calibrated.get((task, model))
        if profile is None:
            return unknown_runner(model, accuracy)
        known = profile.accuracy[-1].value if profile.task == task else None
        return make_runner(profile, accuracy=known if accuracy is None else accuracy)


def dc_only(settings: PolicySettings) -> Policy:
    """Entry point ``dc-only``."""
    return DcOnly(settings)
