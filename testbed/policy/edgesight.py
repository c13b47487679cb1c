"""EdgeSight in serial mode: a frontend at the edge answers if it is sure enough, else the data centre does.

In the manner of EdgeSight (arXiv 2405.19213), whose full text was not available to us: confidence scaling is its
idea, the thresholds (``testbed.policy.confidence``) and the choice of boards (``testbed.policy.runners``) are ours.

What a request may meet::

    arrival ─ target out of reach ─► Reject with the best on offer, or the data centre's answer, degraded
       │
       ▼  least powerful edge board that can still make the deadline with an escalation;
       │  none promises it: straight to the data centre if that is in time; else whoever would be first;
       │  not even with luck: Reject
    edge answer ─ confidence >= tau ─► Answer
       │
       ▼  escalation ─ data centre down or sure to be late ─► edge answer, degraded, if the request allows it;
       │                                                      else Reject (down) or escalated all the same (late)
    data-centre answer ─► Answer

    a failed attempt ─► once more on another board; a second failure: the edge answer, degraded, if there is one
                        and the request allows it; else nothing is ordered, and the core closes it FAILED
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from testbed.errors import ConfigError
from testbed.model.action import Action, Answer, Decision, Reject
from testbed.model.ids import ModelId
from testbed.model.lab import parse_options
from testbed.model.placement import Demand, Hosted, LabSnapshot, Placement
from testbed.policy import DC, EDGE, PolicySettings
from testbed.policy.confidence import PlanKind, Threshold
from testbed.policy.runners import (
    Groups,
    Pick,
    Residents,
    Runner,
    by_power,
    infer,
    least_powerful,
    make_runner,
    soonest,
    unknown_runner,
)

if TYPE_CHECKING:
    from testbed.model.execution import Step
    from testbed.model.ids import BoardId, TaskId
    from testbed.model.request import Request
    from testbed.model.view import CaseView, View
    from testbed.ports import Policy
    from testbed.units import Ns

LATE = "no board can answer by the deadline"
NO_DC = "the edge is not sure enough and no data centre is up"
ATTEMPTS = 2


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy's table in a campaign file.

    Attributes:
        max_ahead: items that may be on their way to a less powerful board before this one. With 0 it is used when
            it is free; 1 keeps its line at work, for twice the wait.
        max_offload: a less powerful board is passed over if it would escalate more than this share.
    """

    max_ahead: int = 0
    max_offload: float = 0.5


class Course(Struct, frozen=True):
    """What requests of one task and target have before them.

    Attributes:
        rows: thresholds by frontend. groups: frontends that reach the target, by board. backends: in the
            data centre. spare: frontends to ask when the data centre is down and the target out of reach.
        feasible: whether the target can be reached at all. direct_ok: whether the backend alone reaches it.
        best: highest accuracy on offer that we vouch for.
    """

    rows: dict[ModelId, Threshold]
    groups: Groups
    backends: tuple[Runner, ...]
    spare: tuple[Runner, ...]
    feasible: bool
    direct_ok: bool
    best: float | None


class EdgeSight:
    """Serial confidence scaling; keeps nothing of a request, so that its steps alone say how it stands."""

    def __init__(self, settings: PolicySettings) -> None:
        """Check what it is given.

        Raises:
            ConfigError: no thresholds, or an option that does not exist.
        """
        if settings.thresholds is None or not settings.thresholds.rows:
            raise ConfigError(
                "edgesight needs calibrated thresholds", cure="Add [calibration] to the campaign"
            )
        self._options = parse_options(settings.options, Options, file="policy edgesight", key="options")
        self._settings = settings
        self._table = settings.thresholds
        self._dc = frozenset(settings.sites.get(DC, ()))
        self._courses: dict[tuple[TaskId, float | None], Course] = {}
        self._residents = Residents()
        self._hosted = self._all_models()

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """Frontends stay resident at the edge and backends in the data centre: nothing is ever swapped."""
        return Placement(hosted=self._hosted)

    def decide(self, now: Ns, view: View) -> Decision:
        """See to every request that waits; in serial mode those are the ones with something to decide."""
        actions: list[Action] = [*self._residents.missing(view, view.placement.hosted)]
        given: dict[BoardId, int] = {}
        for case in view.waiting.values():
            if not case.steps:
                self._start(now, view, case, actions, given)
            elif case.steps[-1].ok:
                self._judge(now, view, case, case.steps[-1], actions, given)
            else:
                self._again(now, view, case, actions, given)
        return Decision(actions=tuple(actions))

    # --- the ways of a request -----------------------------------------------------------------------

    def _start(
        self,
        now: Ns,
        view: View,
        case: CaseView,
        actions: list[Action],
        given: dict[BoardId, int],
        without: frozenset[BoardId] = frozenset(),
    ) -> None:
        """First order for a request; nothing if no board can take it now."""
        request = case.request
        course = self._course(request)
        if not course.feasible and not request.allow_degraded:
            reason = f"accuracy {request.min_accuracy} is not on offer"
            actions.append(Reject(request=request.id, reason=reason, best_accuracy=course.best))
            return
        size = view.payload_bytes(request.id)
        direct = soonest(view, now, course.backends, size, without=without, given=given)
        deadline = request.deadline
        choice = least_powerful(
            view,
            now,
            request,
            course.groups,
            size,
            escalation=direct.finish - now if direct is not None else 0,
            max_ahead=self._options.max_ahead,
            max_offload=self._options.max_offload,
            without=without,
            given=given,
        )
        pick = choice.promised
        if pick is None:
            if not (course.direct_ok or request.allow_degraded):
                direct = None
            if direct is not None and course.direct_ok and (deadline is None or direct.finish <= deadline):
                pick = direct
            else:
                pick = choice.otherwise or direct
            if pick is None and request.allow_degraded:
                pick = soonest(view, now, course.spare, size, without=without, given=given)
            if pick is not None and deadline is not None and pick.finish > deadline:
                actions.append(Reject(request=request.id, reason=LATE, best_accuracy=course.best))
                return
        if pick is not None:
            self._order(view, request, pick, actions, given)

    def _judge(
        self,
        now: Ns,
        view: View,
        case: CaseView,
        last: Step,
        actions: list[Action],
        given: dict[BoardId, int],
    ) -> None:
        """Let an answer stand, or escalate it."""
        request = case.request
        course = self._course(request)
        if last.board in self._dc:
            asked_edge = any(step.ok and step.board not in self._dc for step in case.steps)
            short = not course.feasible or not (asked_edge or course.direct_ok)
            actions.append(_answer(request, last, degraded=short))
            return
        row = course.rows.get(last.model)
        if row is not None and row.tau is not None and last.confidence >= row.tau:
            actions.append(_answer(request, last, degraded=not course.feasible))
            return
        size = view.payload_bytes(request.id)
        pick = soonest(view, now, course.backends, size, without=_failed_on(case), given=given)
        late = pick is not None and request.deadline is not None and pick.finish > request.deadline
        if request.allow_degraded and (pick is None or late):
            actions.append(_answer(request, last, degraded=True))
        elif pick is None:
            actions.append(Reject(request=request.id, reason=NO_DC, best_accuracy=course.best))
        else:
            self._order(view, request, pick, actions, given)

    def _again(
        self, now: Ns, view: View, case: CaseView, actions: list[Action], given: dict[BoardId, int]
    ) -> None:
        """After a failed attempt: once more elsewhere, or what the edge has said, or nothing."""
        request = case.request
        said = next((s for s in reversed(case.steps) if s.ok), None)
        failures = sum(not s.ok for s in case.steps)
        if failures < ATTEMPTS and said is None:
            self._start(now, view, case, actions, given, _failed_on(case))
            return
        if failures < ATTEMPTS:
            backends = self._course(request).backends
            size = view.payload_bytes(request.id)
            pick = soonest(view, now, backends, size, without=_failed_on(case), given=given)
            if pick is not None:
                self._order(view, request, pick, actions, given)
                return
        if said is not None and request.allow_degraded:
            actions.append(_answer(request, said, degraded=True))

    def _order(
        self, view: View, request: Request, pick: Pick, actions: list[Action], given: dict[BoardId, int]
    ) -> None:
        actions.append(infer(view, request.id, pick))
        given[pick.runner.board] = given.get(pick.runner.board, 0) + 1

    # --- what is on offer ----------------------------------------------------------------------------

    def _course(self, request: Request) -> Course:
        """Looked up once per task and target."""
        key = (request.task, request.min_accuracy)
        found = self._courses.get(key)
        if found is None:
            found = self._courses[key] = self._make_course(*key)
        return found

    def _make_course(self, task: TaskId, target: float | None) -> Course:
        rows = {row.frontend: row for row in self._table.find(task, target or 0.0)}
        if target is None:  # nothing promised: whatever the edge says stands
            rows = {name: _always(row) for name, row in rows.items()}
        able = {n: r for n, r in rows.items() if r.plan in (PlanKind.EDGE_ONLY, PlanKind.CASCADE)}
        any_rows = rows or {r.frontend: r for r in self._table.rows if r.task == task}
        backend_accuracy = max((r.backend_accuracy for r in any_rows.values()), default=0.0)
        direct_ok = bool(rows) and backend_accuracy >= (target or 0.0)
        return Course(
            rows=rows,
            groups=by_power(self._runners(EDGE, able)),
            backends=tuple(
                self._backend(board, model, backend_accuracy)
                for board in self._settings.sites.get(DC, ())
                for model in self._settings.models.get(board, ())
                if model in {r.backend for r in any_rows.values()}
            ),
            spare=tuple(self._runners(EDGE, any_rows)),
            feasible=bool(able) or direct_ok,
            direct_ok=direct_ok,
            best=self._table.best(task),
        )

    def _runners(self, site: str, rows: dict[ModelId, Threshold]) -> list[Runner]:
        found = []
        for board in self._settings.sites.get(site, ()):
            for model in self._settings.models.get(board, ()):
                profile, row = self._settings.profiles.find(board, model), rows.get(model)
                if profile is not None and row is not None:
                    found.append(
                        make_runner(
                            profile,
                            board,
                            exits=row.exits,
                            exit_frac=row.exit_frac,
                            p_off=row.p_off,
                            accuracy=row.acc_hat,
                        )
                    )
        return found

    def _backend(self, board: BoardId, model: ModelId, accuracy: float) -> Runner:
        profile = self._settings.profiles.find(board, model)
        if profile is None:
            return unknown_runner(board, model, accuracy)
        return make_runner(profile, board, accuracy=accuracy)

    def _all_models(self) -> tuple[Hosted, ...]:
        wanted = {EDGE: {r.frontend for r in self._table.rows}, DC: {r.backend for r in self._table.rows}}
        return tuple(
            Hosted(board=board, model=model)
            for site, models in wanted.items()
            for board in self._settings.sites.get(site, ())
            for model in self._settings.models.get(board, ())
            if model in models
        )


def _answer(request: Request, step: Step, *, degraded: bool) -> Answer:
    return Answer(request=request.id, steps=(step.id,), label=step.label, degraded=degraded)


def _failed_on(case: CaseView) -> frozenset[BoardId]:
    return frozenset(step.board for step in case.steps if not step.ok)


def _always(row: Threshold) -> Threshold:
    return structs.replace(row, plan=PlanKind.EDGE_ONLY, tau=0.0, p_off=0.0)


def edgesight(settings: PolicySettings) -> Policy:
    """Entry point ``edgesight``."""
    return EdgeSight(settings)
