"""Baseline: the edge answers everything, as well as it can.

Of the models whose profiled accuracy reaches the target, the least powerful board that suffices takes the request
(``testbed.policy.runners``); where none reaches it, the most accurate ones do and the answer is marked degraded.
A baseline refuses nothing: it answers below the target and after the deadline too, whatever the request allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.action import Action, Answer, Decision
from testbed.model.ids import ModelId
from testbed.model.lab import parse_options
from testbed.model.placement import Demand, Hosted, LabSnapshot, Placement
from testbed.policy import EDGE, PolicySettings
from testbed.policy.fleet import Fleet
from testbed.policy.residents import Residents
from testbed.policy.runners import Runner, infer, make_runner
from testbed.policy.teams import Team, by_power, least_powerful, teams_of

if TYPE_CHECKING:
    from testbed.model.ids import BoardId, TaskId
    from testbed.model.profile import HwProfile
    from testbed.model.view import CaseView, View
    from testbed.ports import Policy
    from testbed.units import Ns

ATTEMPTS = 2


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy's table in a campaign file.

    Attributes:
        max_ahead: items that may be on their way to a less powerful board before this one. With 0 it is used when
            it is free; 1 keeps its line at work, for twice the wait.
        models: to use at the edge, kept resident there; all that have a profile by default.
    """

    max_ahead: int = 0
    models: tuple[ModelId, ...] = ()


class EdgeOnly:
    """One model at the edge per request, chosen by its profiled accuracy."""

    def __init__(self, settings: PolicySettings) -> None:
        """Check the options.

        Raises:
            ConfigError: an option that does not exist.
        """
        self._options = parse_options(settings.options, Options, file="policy edge-only", key="options")
        self._profiles: list[tuple[BoardId, HwProfile]] = [
            (board, profile)
            for board in settings.sites.get(EDGE, ())
            for model in settings.models.get(board, ())
            if not self._options.models or model in self._options.models
            if (profile := settings.profiles.find(board, model)) is not None
        ]
        self._accuracy: dict[tuple[BoardId, ModelId], float] = {
            (board, p.model): p.accuracy[-1].value for board, p in self._profiles
        }
        self._courses: dict[tuple[TaskId, float | None], tuple[Team, ...]] = {}
        self._residents = Residents()
        self._fleet = Fleet.of(settings)
        self._hosted = tuple(Hosted(board=b, model=p.model) for b, p in self._profiles)

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
            if last is not None and last.ok:
                short = self._accuracy[last.board, last.model] < (request.min_accuracy or 0.0)
                actions.append(Answer(request=request.id, steps=(last.id,), label=last.label, degraded=short))
            elif len(case.steps) < ATTEMPTS:
                self._order(now, view, case, actions, given)
        return Decision(actions=tuple(actions))

    def _order(
        self, now: Ns, view: View, case: CaseView, actions: list[Action], given: dict[BoardId, int]
    ) -> None:
        request = case.request
        choice = least_powerful(
            view,
            now,
            request,
            self._course(request.task, request.min_accuracy),
            view.payload_bytes(request.id),
            max_ahead=self._options.max_ahead,
            without=frozenset(step.board for step in case.steps),
            given=given,
        )
        pick = choice.promised or choice.otherwise
        if pick is not None:
            actions.append(infer(view, request.id, pick))
            given[pick.board] = given.get(pick.board, 0) + 1

    def _course(self, task: TaskId, target: float | None) -> tuple[Team, ...]:
        found = self._courses.get((task, target))
        if found is None:
            known = [(b, p, p.accuracy[-1].value) for b, p in self._profiles if p.task == task]
            best = max((accuracy for _, _, accuracy in known), default=0.0)
            least = min(target or 0.0, best)
            able: dict[BoardId, list[Runner]] = {}
            for board, profile, accuracy in known:
                if accuracy >= least:
                    able.setdefault(board, []).append(make_runner(profile, accuracy=accuracy))
            found = by_power(teams_of(self._fleet, able))
            self._courses[task, target] = found
        return found


def edge_only(settings: PolicySettings) -> Policy:
    """Entry point ``edge-only``."""
    return EdgeOnly(settings)
