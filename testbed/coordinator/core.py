"""Events in, effects out: the one place where requests become orders and orders become records.

The core never waits, reads a clock, opens a file or logs. Live and virtual time are two shells around it,
and replaying the event log of a trial through a fresh core and policy gives the same effects.

A request's life::

    Arrived ──► waiting ──Infer──► in flight ──last step told──► waiting (again) …
                  │  │                 │
                  │  Reject/Answer     Answer (losers still in flight are waited for)
                  │  └────────► outcome fixed ──► all actions settled ──► record
                  deadline passed with nothing in flight ──► EXPIRED
                  failed attempts only, and the policy orders nothing ──► FAILED
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from testbed.coordinator.effects import Close, Dispatch, Effect, Plan, WakeAt
from testbed.coordinator.state import BoardSetup, BoardState, Case, Ended, Flight, LabState
from testbed.errors import PolicyError, did_you_mean
from testbed.model import event as ev
from testbed.model.action import Answer, Cancel, Decision, Infer, Load, Reject
from testbed.model.execution import Step
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.model.view import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.model.ids import ActionId, RequestId
    from testbed.model.profile import ProfileBook
    from testbed.ports import Policy
    from testbed.units import Ns

CANCEL_STAGES = ("before_sent", "before_start", "during", "too_late")


class Core:
    """One trial's bookkeeping around one policy.

    Attributes:
        counters: cancels by stage, rejected orders, plans, decisions; ends up in the trial's last entry.
    """

    def __init__(
        self,
        policy: Policy,
        boards: Sequence[BoardSetup],
        profiles: ProfileBook,
        payload_bytes: Callable[[Request, str], int],
        truth: Callable[[Request], int | None] = lambda _: None,
        first_action: ActionId = 1,
    ) -> None:
        """Wire a policy to an empty lab.

        Args:
            payload_bytes: size of a request's payload under a codec [bytes].
            truth: the right label of a request; asked only when a record is made, never shown to the policy.
            first_action: where action ids start; an agent executes an id once per fencing token, so trials
                of one run must not share ids.
        """
        self._policy = policy
        self._lab = LabState(boards, profiles, payload_bytes, first_action)
        self._truth = truth
        self._flights: dict[ActionId, Flight] = {}
        self._deadlines: list[tuple[Ns, RequestId]] = []
        self._overdue: set[RequestId] = set()
        self._revisit: Ns | None = None
        self._wake: Ns | None = None
        self._out: list[Effect] = []
        self._stopped = False
        self.counters: dict[str, int] = dict.fromkeys(
            ("decisions", "plans", *(f"cancelled_{stage}" for stage in CANCEL_STAGES)), 0
        )

    @property
    def open_requests(self) -> int:
        """Requests without a record yet."""
        return len(self._lab.open) + len(self._lab.settling)

    def start(self, now: Ns) -> list[Effect]:
        """First effects: the policy's first plan."""
        self._lab.now = now
        self._plan()
        return self._flush()

    def handle(self, event: ev.CoreEvent) -> list[Effect]:
        """Take one event, return what is to be done, in order.

        Raises:
            PolicyError: the policy broke its contract; the trial cannot go on.
        """
        if self._stopped:
            return []
        lab = self._lab
        # Threads at the rim may deliver a hair out of order; time in the core never runs backwards.
        lab.now = max(lab.now, event.t)
        if self._take(event):
            self._decide()
        return self._flush()

    def _take(self, event: ev.CoreEvent) -> bool:
        """Book one event; whether the policy has something to decide."""
        match event:
            case ev.Arrived():
                return self._arrived(event)
            case ev.Sent():
                return self._sent(event)
            case ev.Executed():
                return self._executed(event)
            case ev.Failed():
                return self._failed(event)
            case ev.Cancelled():
                return self._cancelled(event)
            case ev.Loaded():
                return self._loaded(event)
            case ev.BoardUp():
                return self._board_up(event)
            case ev.BoardDown():
                return self._board_down(event)
            case ev.NetworkSeen():
                return self._network(event)
            case ev.Tick():
                return self._tick(event)
            case ev.PlanReady():
                self._lab.placement = event.placement
                return True
            case ev.Stop():
                return self._stop(event)

    # --- events; each handler says whether the policy has something to decide -------------------------

    def _arrived(self, event: ev.Arrived) -> bool:
        request = event.request
        case = Case(request, event.t)
        self._lab.open[request.id] = self._lab.idle[request.id] = case
        self._lab.touched.append(request.id)
        self._lab.meter.saw(self._lab.now, request)
        if request.deadline is not None:
            heapq.heappush(self._deadlines, (request.deadline, request.id))
        return True

    def _sent(self, event: ev.Sent) -> bool:
        flight = self._flights.get(event.action)
        if flight is not None:
            flight.sent = event.t
        return False

    def _executed(self, event: ev.Executed) -> bool:
        flight = self._flights.get(event.action)
        if flight is None or not isinstance(flight.order, Infer):
            return False  # a late duplicate of something already settled
        run, order = event.execution, flight.order
        for position in sorted(flight.open_items):
            result = run.items[position]
            late = position in flight.cancel_ordered
            if late:
                self.counters["cancelled_too_late"] += 1
            step = Step(
                id=(order.id, position),
                board=order.board,
                model=order.model,
                decided=flight.decided,
                sent=flight.sent,
                answered=event.t,
                received=run.received,
                started=run.started,
                finished=run.finished,
                boot=event.boot,
                batch=len(order.batch),
                exit=result.exit,
                label=result.label,
                confidence=result.confidence,
                scores=result.scores,
                lost_frac=result.lost_frac,
                boxes=result.boxes,
                kept_bytes=result.kept_bytes,
                asked_service=run.asked_service,
                origin=run.origin,
                cancelled="too_late" if late else None,
            )
            self._tell(order.batch[position].request, order.id, step)
        self._settle(flight, order, set(flight.open_items))
        return True

    def _failed(self, event: ev.Failed) -> bool:
        flight = self._flights.get(event.action)
        if flight is None:
            return False
        if isinstance(flight.order, Load):
            del self._flights[event.action]
            self._lab.states[flight.order.board].loading.pop(flight.order.model, None)
            return True
        self._end_items(flight, flight.order, set(flight.open_items), event.t, error=event.error or "failed")
        return True

    def _cancelled(self, event: ev.Cancelled) -> bool:
        flight = self._flights.get(event.action)
        if flight is None or not isinstance(flight.order, Infer) or event.stage == "too_late":
            return False  # too late: the execution itself settles it
        positions = set(flight.open_items)
        if event.requests is not None:
            positions = {p for p in positions if flight.order.batch[p].request in event.requests}
        self.counters[f"cancelled_{event.stage}"] += len(positions)
        self._end_items(flight, flight.order, positions, event.t, cancelled=event.stage)
        return True

    def _loaded(self, event: ev.Loaded) -> bool:
        flight = self._flights.pop(event.action, None)
        board = self._lab.states[event.board]
        copies = flight.order.instances if flight is not None and isinstance(flight.order, Load) else 1
        board.loading.pop(event.model, None)
        board.resident[event.model] = copies
        board.grow(copies)
        return True

    def _board_up(self, event: ev.BoardUp) -> bool:
        board = self._lab.states[event.board]
        board.health = Health.UP
        board.boot = event.boot
        board.resident = dict(event.resident)
        board.grow(max(board.resident.values(), default=1))
        return True

    def _board_down(self, event: ev.BoardDown) -> bool:
        self._lab.states[event.board].health = Health.DOWN
        # The driver fails what was in flight; anything it forgot would hang its request, so end it here.
        for flight in [f for f in self._flights.values() if f.order.board == event.board]:
            self._failed(ev.Failed(t=event.t, action=flight.order.id, error=event.error))
        return True

    def _network(self, event: ev.NetworkSeen) -> bool:
        board = self._lab.states[event.board]
        board.rtt, board.loss_frac = event.rtt, event.loss_frac
        board.up_bytes_per_s, board.down_bytes_per_s = event.up_bytes_per_s, event.down_bytes_per_s
        return False

    def _tick(self, event: ev.Tick) -> bool:
        if self._revisit is not None and event.t >= self._revisit:
            self._revisit = None
        self._wake = None
        return True

    def _stop(self, event: ev.Stop) -> bool:
        for flight in list(self._flights.values()):
            if isinstance(flight.order, Infer):
                self._out.append(Dispatch(flight.order.board, Cancel(action=flight.order.id)))
        for case in [*self._lab.settling.values(), *self._lab.open.values()]:
            case.in_flight.clear()
            if case.outcome is None:
                self._fix(case, Outcome.ABORTED, reason=event.reason)
            self._close_if_settled(case)
        self._stopped = True
        return False

    # --- steps ----------------------------------------------------------------------------------------

    def _tell(self, request: RequestId, action: ActionId, step: Step) -> None:
        """Add a step to a request; it waits for the policy again if nothing else is under way for it."""
        case = self._lab.open.get(request) or self._lab.settling[request]
        case.steps.append(step)
        case.in_flight.pop(action, None)
        if case.outcome is not None:
            self._close_if_settled(case)
            return
        self._lab.touched.append(request)
        if not case.in_flight:
            self._lab.idle[request] = case

    def _end_items(
        self,
        flight: Flight,
        order: Infer,
        positions: set[int],
        t: Ns,
        error: str | None = None,
        cancelled: str | None = None,
    ) -> None:
        for position in sorted(positions):
            step = Step(
                id=(order.id, position),
                board=order.board,
                model=order.model,
                decided=flight.decided,
                sent=flight.sent,
                answered=t,
                batch=len(order.batch),
                error=error,
                cancelled=cancelled,
            )
            self._tell(order.batch[position].request, order.id, step)
        self._settle(flight, order, positions)

    def _settle(self, flight: Flight, order: Infer, positions: set[int]) -> None:
        flight.open_items -= positions
        if flight.open_items:
            self._lab.states[order.board].queued -= len(positions)
            return
        del self._flights[order.id]
        self._lab.states[order.board].settled(order.id, order.instance, self._lab.now, len(positions))

    # --- the policy -----------------------------------------------------------------------------------

    def _decide(self) -> None:
        lab = self._lab
        touched = [r for r in lab.touched if r in lab.open]
        lab.touched = touched
        decision = self._policy.decide(lab.now, lab)
        self.counters["decisions"] += 1
        self._carry_out(decision)
        lab.touched = []
        for request in touched:
            case = lab.idle.get(request)
            if case is not None and case.steps and not case.steps[-1].ok:
                errors = [s.error for s in case.steps if s.error]
                self._fix(case, Outcome.FAILED, reason=errors[-1] if errors else "cancelled and not ordered again")
                self._close_if_settled(case)
        self._expire()
        self._set_wake()

    def _carry_out(self, decision: Decision) -> None:
        for action in decision.actions:
            match action:
                case Infer():
                    self._order_infer(action)
                case Load():
                    self._order_load(action)
                case Answer():
                    self._answer(action)
                case Cancel():
                    self._cancel(action)
                case Reject():
                    self._reject(action)
        self._revisit = decision.revisit
        if decision.replan:
            self._plan()

    def _order_infer(self, order: Infer) -> None:
        lab = self._lab
        board = self._board(order.board)
        if order.id in self._flights or not order.batch:
            raise PolicyError(f"action {order.id} is already in flight or has an empty batch")
        samples = []
        for item in order.batch:
            case = self._open_case(item.request, "ordered an inference for")
            case.in_flight[order.id] = order
            lab.idle.pop(item.request, None)
            samples.append(case.request.sample)
            if case.predicted_finish is None and order.expected is not None:
                case.predicted_finish = order.expected.finish
                case.predicted_accuracy = order.expected.accuracy
        profile = lab.profiles.find(order.board, order.model)
        estimate = profile.service_at(len(order.batch)) if profile is not None else 0
        self._flights[order.id] = Flight(order, lab.now, estimate, len(order.batch))
        board.took(order.id, order.instance, lab.now, estimate, len(order.batch))
        self._out.append(Dispatch(order.board, order, tuple(samples)))

    def _order_load(self, order: Load) -> None:
        board = self._board(order.board)
        for model in order.evict:
            board.resident.pop(model, None)
        board.loading[order.model] = order.id
        self._flights[order.id] = Flight(order, self._lab.now, 0, 0)
        self._out.append(Dispatch(order.board, order))

    def _answer(self, answer: Answer) -> None:
        case = self._open_case(answer.request, "answered")
        case.answer = answer
        self._fix(case, Outcome.DEGRADED if answer.degraded else Outcome.COMPLETED)
        self._close_if_settled(case)

    def _reject(self, reject: Reject) -> None:
        case = self._open_case(reject.request, "rejected")
        case.best_accuracy = reject.best_accuracy
        self._fix(case, Outcome.REJECTED, reason=reject.reason)
        self._close_if_settled(case)

    def _cancel(self, cancel: Cancel) -> None:
        flight = self._flights.get(cancel.action)
        if flight is None or not isinstance(flight.order, Infer):
            return  # it has settled meanwhile: cancelling is idempotent
        wanted = cancel.requests
        flight.cancel_ordered |= {
            p for p, item in enumerate(flight.order.batch) if wanted is None or item.request in wanted
        }
        self._out.append(Dispatch(flight.order.board, cancel))

    def _board(self, name: str) -> BoardState:
        board = self._lab.states.get(name)
        if board is None:
            raise PolicyError(f"the policy ordered for board {name!r}", cure=did_you_mean(name, self._lab.states))
        return board

    def _open_case(self, request: RequestId, what: str) -> Case:
        case = self._lab.open.get(request)
        if case is None:
            raise PolicyError(f"the policy {what} request {request}, which is not open")
        return case

    def _plan(self) -> None:
        self.counters["plans"] += 1
        self._out.append(Plan(self._lab.demand, self._lab.snapshot()))

    # --- ends -----------------------------------------------------------------------------------------

    def _fix(self, case: Case, outcome: Outcome, reason: str = "") -> None:
        """Fix the outcome; the record waits until every action of the request has settled."""
        case.outcome = outcome
        case.ended = self._lab.now
        case.reason = reason
        self._lab.idle.pop(case.request.id, None)
        self._lab.settling[case.request.id] = self._lab.open.pop(case.request.id)

    def _close_if_settled(self, case: Case) -> None:
        if case.in_flight or case.outcome is None:
            return
        request = case.request
        del self._lab.settling[request.id]
        self._lab.finished_count += 1
        label = case.answer.label if case.answer is not None else None
        truth = self._truth(request) if label is not None else None
        steps = tuple(case.steps)
        self._lab.closed.append(Ended(request, case.outcome, steps, case.ended))
        self._out.append(
            Close(
                RequestRecord(
                    request=request,
                    outcome=case.outcome,
                    seen=case.seen,
                    ended=case.ended,
                    label=label,
                    correct=None if truth is None else label == truth,
                    steps=steps,
                    used=case.answer.steps if case.answer is not None else (),
                    predicted_finish=case.predicted_finish,
                    predicted_accuracy=case.predicted_accuracy,
                    reason=case.reason,
                    best_accuracy=case.best_accuracy,
                )
            )
        )

    def _expire(self) -> None:
        """End what nobody works on and whose deadline has passed; the policy had its say just before."""
        lab = self._lab
        while self._deadlines and self._deadlines[0][0] <= lab.now:
            self._overdue.add(heapq.heappop(self._deadlines)[1])
        # What is in flight past its deadline is waited for: late, not expired, unless the policy drops it then.
        for request in [r for r in self._overdue if r in lab.idle or r not in lab.open]:
            self._overdue.discard(request)
            case = lab.idle.get(request)
            if case is not None:
                self._fix(case, Outcome.EXPIRED, reason="deadline passed with nothing under way")
                self._close_if_settled(case)

    def _set_wake(self) -> None:
        while self._deadlines and self._deadlines[0][1] not in self._lab.open:
            heapq.heappop(self._deadlines)
        wishes = [t for t in (self._revisit,) if t is not None]
        # Only a waiting request can expire, so deadlines need no timer while all are in flight.
        if self._lab.idle and self._deadlines:
            wishes.append(self._deadlines[0][0])
        wake = min(wishes, default=None)
        if wake != self._wake:
            self._wake = wake
            self._out.append(WakeAt(wake))

    def _flush(self) -> list[Effect]:
        out, self._out = self._out, []
        return out
