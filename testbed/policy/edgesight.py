"""EdgeSight: a frontend at the edge answers if it is sure enough, else the data centre does.

In the manner of EdgeSight (arXiv 2405.19213), whose full text was not available to us: confidence scaling and stopping
a backend that was started are its ideas, the thresholds (`testbed.policy.confidence`), the choice of boards
(`testbed.policy.runners`), of the mode (`testbed.policy.speculation`), of the transport (`testbed.policy.transports`)
and the drift guard (`testbed.policy.shadows`, `testbed.policy.guard`) are ours.

What a request may meet::

    arrival ─ target out of reach ─► Reject with the best on offer, or the data centre's answer, degraded
       │
       ▼  least powerful edge board that keeps the energy bound and can still make the deadline with an escalation;
       │  none promises it: straight to the data centre if that is in time; else whoever would be first;
       │  not even with luck: Reject
       ├─ speculative: the data centre is asked at the same time; who can answer first does, the other is cancelled
       ▼
    edge answer ─ confidence >= tau for the loss it met ─► Answer (some go to the data centre too, as shadows)
       │
       ▼  escalation ─ data centre down or sure to be late ─► edge answer, degraded, if the request allows it;
       │                                                      else Reject (down) or escalated all the same (late)
    data-centre answer ─► Answer

    too much lost on the way to the edge ─► escalation
    a failed attempt ─► once more on another board; a second failure: the edge answer, degraded, if there is one
                        and the request allows it; else nothing is ordered, and the core closes it FAILED
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from testbed.model.action import Action, Answer, Cancel, Decision, Reject, Transport
from testbed.model.ids import ModelId
from testbed.model.lab import parse_options
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.policy import DC, PolicySettings
from testbed.policy.courses import Course, Courses
from testbed.policy.judging import ByChance, ByTruth, Judge, by_confidence
from testbed.policy.residents import Residents
from testbed.policy.runners import Pick, infer
from testbed.policy.shadows import Shadows
from testbed.policy.speculation import Mode, Speculation
from testbed.policy.teams import least_powerful, soonest
from testbed.policy.transports import LossyOrders, failed_on

if TYPE_CHECKING:
    from testbed.model.execution import Step
    from testbed.model.ids import BoardId
    from testbed.model.request import Request
    from testbed.model.view import CaseView, View
    from testbed.policy.thresholds import Threshold
    from testbed.ports import Policy
    from testbed.units import Ns

LATE = "no board can answer by the deadline"
NO_DC = "the edge is not sure enough and no data centre is up"
UNSEEN = "the edge could not say, and the data centre alone falls short of the accuracy"
ATTEMPTS = 2


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy's table in a campaign file.

    Attributes:
        max_ahead: items that may be on their way to a less powerful board before this one. With 0 it is used when
            it is free; 1 keeps its line at work, for twice the wait.
        max_offload: a less powerful board is passed over if it would escalate more than this share.
        mode: when the data centre is asked. max_utilisation: of it, above which ``auto`` stays serial.
        shadow_frac: share of confident answers that the drift guard has checked.
        frontends: models to use at the edge, kept resident there; all that were calibrated by default.
        transport: of the inputs to the edge; ``lossy`` wants boards with such a channel (one without is then reached
            reliably) and thresholds for inputs with losses. The data centre is always reached reliably.
    """

    max_ahead: int = 0
    max_offload: float = 0.5
    mode: Mode = Mode.SERIAL
    max_utilisation: float = 0.7
    shadow_frac: float = 0.0
    frontends: tuple[ModelId, ...] = ()
    transport: Transport = Transport.RELIABLE


class EdgeSight:
    """Confidence scaling; keeps nothing of a request but its shadow, so that its steps alone say how it stands."""

    def __init__(self, settings: PolicySettings, judge: Judge = by_confidence) -> None:
        """Check what it is given.

        Raises:
            ConfigError: no thresholds, an option that does not exist, or a frontend that was not calibrated.
        """
        options = parse_options(settings.options, Options, file="policy edgesight", key="options")
        if options.frontends and settings.thresholds is not None:
            settings = structs.replace(settings, thresholds=settings.thresholds.only(options.frontends))
        self._options = options
        self._serial = options.mode is Mode.SERIAL
        self._courses = Courses(settings)
        self._fleet = self._courses.fleet
        self._judge_by = judge
        self._dc = frozenset(settings.sites.get(DC, ()))
        self._residents = Residents()
        self._hosted = self._courses.hosted()
        self._speculation = Speculation(options.mode, self._dc, options.max_utilisation)
        assert settings.thresholds is not None
        self._shadows = Shadows(settings.thresholds, self._dc, options.shadow_frac, settings.seed)
        self._lossy = LossyOrders(self._dc) if options.transport is Transport.LOSSY else None

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """Everything stays where it is."""
        return Placement(hosted=self._hosted)

    def decide(self, now: Ns, view: View) -> Decision:
        """See to every request that waits, and to those that were asked twice and got a first answer."""
        changed = self._fleet.see(view)
        if self._lossy is not None:
            self._lossy.see(view, changed)
        actions = self._residents.missing(view, view.placement.hosted, changed)
        given: dict[BoardId, int] = {}
        notes = self._shadows.hear(view) if self._shadows.cast else ()
        for case in view.waiting.values():
            steps = case.steps
            if not steps:
                self._start(now, view, case, actions, given)
            elif (last := steps[-1]).error is None and last.cancelled is None:
                self._judge(now, view, case, last, actions, given)
            else:
                self._again(now, view, case, actions, given)
        if not self._serial:
            for request in view.touched:
                case = view.cases[request]
                if case.in_flight and case.steps and case.steps[-1].ok:
                    self._race(view, case, case.steps[-1], actions, given)
        return Decision(actions=tuple(actions), notes=notes)

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
        course = self._courses.of(request)
        if not course.feasible and not request.allow_degraded:
            reason = f"accuracy {request.min_accuracy} is not on offer"
            actions.append(Reject(request=request.id, reason=reason, best_accuracy=course.best))
            return
        size = view.payload_bytes(request.id)
        direct: Pick | None = None
        if course.escalates or not self._serial:
            direct = soonest(view, now, course.backends, size, without=without, given=given)
        at_once = self._options.mode is Mode.SPECULATIVE and direct is not None
        deadline = request.deadline
        choice = least_powerful(
            view,
            now,
            request,
            course.teams if request.max_energy_j is None else course.affordable(request),
            size,
            escalation=direct.finish - now if direct is not None and not at_once else 0,
            max_ahead=self._options.max_ahead,
            max_offload=self._options.max_offload,
            without=without,
            given=given,
        )
        pick = choice.promised
        if pick is not None and self._serial:  # the way of nearly all requests
            self._order(view, request, pick, actions, given)
            return
        backup = self._backup(now, view, request, pick or choice.otherwise, direct)
        if pick is None and backup is not None and (deadline is None or backup.finish <= deadline):
            pick = choice.otherwise
        if pick is None:
            if direct is None:
                direct = soonest(view, now, course.backends, size, without=without, given=given)
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
            if backup is not None:
                self._order(view, request, backup, actions, given)

    def _backup(
        self, now: Ns, view: View, request: Request, edge: Pick | None, direct: Pick | None
    ) -> Pick | None:
        """Whom to ask at the same time as the edge."""
        if self._serial:
            return None
        self._speculation.saw(now, view)
        if edge is None or direct is None:
            return None
        if not (self._courses.of(request).direct_ok or request.allow_degraded):
            return None  # its answer could not stand alone, and might be the first
        return direct if self._speculation.wanted(now, edge, direct, request.deadline) else None

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
        course = self._courses.of(request)
        if self._stands(view, case, course, last, actions, given):
            return
        size = view.payload_bytes(request.id)
        pick = soonest(view, now, course.backends, size, without=failed_on(case), given=given)
        late = pick is not None and request.deadline is not None and pick.finish > request.deadline
        if request.allow_degraded and (pick is None or late):
            actions.append(_answer(request, last, degraded=True))
        elif pick is None:
            actions.append(Reject(request=request.id, reason=NO_DC, best_accuracy=course.best))
        else:
            self._order(view, request, pick, actions, given)

    def _race(
        self, view: View, case: CaseView, last: Step, actions: list[Action], given: dict[BoardId, int]
    ) -> None:
        """One of two came in: if it can stand, the other is called off; else the other is waited for."""
        course = self._courses.of(case.request)
        stands = self._stands(view, case, course, last, actions, given)
        if stands and case.request.id not in self._shadows:
            actions.extend(Cancel(action=action) for action in case.in_flight)

    def _stands(
        self,
        view: View,
        case: CaseView,
        course: Course,
        last: Step,
        actions: list[Action],
        given: dict[BoardId, int],
    ) -> bool:
        """Answer with a step if it may stand."""
        request = case.request
        if last.board in self._dc:
            short = not course.feasible or not (course.direct_ok or self._asked_edge(case))
            actions.append(_answer(request, last, degraded=short))
            return True
        row = (
            self._courses.row(request, last.model, last.lost_frac)
            if last.lost_frac
            else course.rows.get(last.model)
        )
        shadows = self._shadows
        if row is None or not self._judge_by(request, shadows.row(row) if shadows.cast else row, last):
            return False
        if shadows.cast:
            self._shadow(view, case, row, actions, given)
        actions.append(_answer(request, last, degraded=not course.feasible))
        return True

    def _asked_edge(self, case: CaseView) -> bool:
        """A frontend has answered, and was not sure enough."""
        return any(step.ok and step.board not in self._dc for step in case.steps)

    def _again(
        self, now: Ns, view: View, case: CaseView, actions: list[Action], given: dict[BoardId, int]
    ) -> None:
        """After a failed attempt: once more elsewhere, or what the edge has said, or nothing."""
        request, last = case.request, case.steps[-1]
        if self._lossy is not None:
            self._lossy.heard(last)
        said = next((s for s in reversed(case.steps) if s.ok), None)
        failures = sum(not s.ok for s in case.steps)
        if failures < ATTEMPTS and said is None and not last.lost_frac:
            self._start(now, view, case, actions, given, failed_on(case))
            return
        course = self._courses.of(request)
        if said is None and not (course.direct_ok or request.allow_degraded):
            actions.append(Reject(request=request.id, reason=UNSEEN, best_accuracy=course.best))
            return
        if failures < ATTEMPTS:
            size = view.payload_bytes(request.id)
            pick = soonest(view, now, course.backends, size, without=failed_on(case), given=given)
            if pick is not None:
                self._order(view, request, pick, actions, given)
                return
        if said is not None and request.allow_degraded:
            actions.append(_answer(request, said, degraded=True))

    def _order(
        self, view: View, request: Request, pick: Pick, actions: list[Action], given: dict[BoardId, int]
    ) -> None:
        lossy = self._lossy
        transport = Transport.RELIABLE if lossy is None else lossy.transport(pick.board)
        actions.append(infer(view, request.id, pick, transport))
        given[pick.board] = given.get(pick.board, 0) + 1

    # --- the drift guard -----------------------------------------------------------------------------

    def _shadow(
        self, view: View, case: CaseView, row: Threshold, actions: list[Action], given: dict[BoardId, int]
    ) -> None:
        """Have some of the answers that stand checked; ordered before the answer, which closes the request."""
        request = case.request
        if not self._shadows.wanted(request, row):
            return
        if not any(order.board in self._dc for order in case.in_flight.values()):
            size = view.payload_bytes(request.id)
            pick = soonest(view, 0, self._courses.of(request).backends, size, given=given)
            if pick is None:
                return
            self._order(view, request, pick, actions, given)
        self._shadows.begin(request, row)


def _answer(request: Request, step: Step, *, degraded: bool) -> Answer:
    return Answer(request=request.id, steps=(step.id,), label=step.label, degraded=degraded)


def edgesight(settings: PolicySettings) -> Policy:
    """Entry point ``edgesight``."""
    return EdgeSight(settings)


def random_offload(settings: PolicySettings) -> Policy:
    """Entry point ``random-offload``: the same shares go to the data centre, but any requests."""
    return EdgeSight(settings, ByChance(settings.seed))


def oracle(settings: PolicySettings) -> Policy:
    """Entry point ``oracle``: knows which answers are right; a bound, not a system."""
    return EdgeSight(settings, ByTruth(settings))
