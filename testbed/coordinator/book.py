"""The book of open requests and orders under way: what every step and every end goes through.

Exactly one record leaves here per request: its outcome is fixed once, and the record is written when the
last action that was ordered for it has settled, since a loser's energy counts.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from testbed.coordinator.effects import Close
from testbed.coordinator.state import Case, Ended, Flight, LabState
from testbed.model.action import Infer, Load
from testbed.model.execution import Step
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from testbed.model.event import Executed
    from testbed.model.execution import ItemResult
    from testbed.model.ids import ActionId, BoardId, RequestId
    from testbed.units import Ns

EXPIRED = "deadline passed with nothing under way"
CANCEL_STAGES = ("before_sent", "before_start", "during", "too_late")


class Book:
    """Cases, flights and deadlines of one trial.

    Attributes:
        flights: orders handed to the shell and not settled.
        counters: cancels by stage, decisions, plans; ends up in the trial's last entry.
        closed: records made since the shell last took them.
    """

    def __init__(self, lab: LabState, truth: Callable[[Request], int | None]) -> None:
        """An empty book over a lab's state."""
        self.flights: dict[ActionId, Flight] = {}
        self.counters: dict[str, int] = dict.fromkeys(
            ("decisions", "plans", *(f"cancelled_{stage}" for stage in CANCEL_STAGES)), 0
        )
        self.closed: list[Close] = []
        self._lab = lab
        self._truth = truth
        self._deadlines: list[tuple[Ns, RequestId]] = []
        self._overdue: set[RequestId] = set()

    # --- beginnings -----------------------------------------------------------------------------------

    def open(self, request: Request, seen: Ns) -> None:
        """Enter a request; it waits for the policy."""
        lab = self._lab
        lab.open[request.id] = lab.idle[request.id] = Case(request, seen)
        lab.touched.append(request.id)
        lab.meter.saw(lab.now, request)
        if request.deadline is not None:
            heapq.heappush(self._deadlines, (request.deadline, request.id))

    def infer(self, order: Infer, estimate: Ns) -> tuple[int, ...]:
        """Enter an inference for open requests; returns the input index of each item."""
        lab, expected = self._lab, order.expected
        samples = []
        for item in order.batch:
            case = lab.open[item.request]
            case.in_flight[order.id] = order
            lab.idle.pop(item.request, None)
            samples.append(case.request.sample)
            if case.predicted_finish is None and expected is not None:
                case.predicted_finish = expected.finish
                case.predicted_accuracy = expected.accuracy
        self.flights[order.id] = Flight(order, lab.now, estimate, len(order.batch))
        lab.states[order.board].took(order.id, order.instance, lab.now, estimate, len(order.batch))
        return tuple(samples)

    def load(self, order: Load) -> None:
        """Enter a load; what it evicts is gone from now on."""
        board = self._lab.states[order.board]
        for model in order.evict:
            board.resident.pop(model, None)
        board.loading[order.model] = order.id
        board.changed()
        self.flights[order.id] = Flight(order, self._lab.now, 0, 0)

    # --- steps ----------------------------------------------------------------------------------------

    def executed(self, flight: Flight, order: Infer, event: Executed) -> None:
        """A board answered: every item that is still open gets its step."""
        items = flight.open_items
        for position in tuple(items) if len(items) == 1 else sorted(items):
            late = bool(flight.cancel_ordered) and position in flight.cancel_ordered
            if late:
                self.counters["cancelled_too_late"] += 1
            self._tell(flight, order, position, _step(flight, order, position, event, late=late))
        self._settle(flight, order)

    def end_items(
        self,
        flight: Flight,
        order: Infer,
        positions: Iterable[int],
        t: Ns,
        *,
        error: str = "",
        cancelled: str = "",
        lost_frac: float = 0.0,
    ) -> None:
        """Items that end without an answer: failed or cancelled; the attempt is a step too."""
        for position in sorted(positions):
            step = Step(
                id=(order.id, position),
                board=order.board,
                model=order.model,
                decided=flight.decided,
                sent=flight.sent,
                answered=t,
                batch=len(order.batch),
                error=error or None,
                cancelled=cancelled or None,
                lost_frac=lost_frac,
            )
            self._tell(flight, order, position, step)
        self._settle(flight, order)

    def failed_load(self, flight: Flight, order: Load) -> None:
        """A load that did not come about."""
        del self.flights[order.id]
        board = self._lab.states[order.board]
        board.loading.pop(order.model, None)
        board.changed()

    def on_board(self, board: BoardId) -> list[Flight]:
        """What is under way on a board."""
        return [flight for flight in self.flights.values() if flight.order.board == board]

    def _tell(self, flight: Flight, order: Infer, position: int, step: Step) -> None:
        """Add a step to its request, which waits for the policy again once nothing is under way for it."""
        lab = self._lab
        request = order.batch[position].request
        case = lab.open.get(request) or lab.settling[request]
        case.steps.append(step)
        flight.open_items.discard(position)
        lab.states[order.board].told()
        # Several regions of one request may lie in one batch: only the last of them lets go of the action.
        if not flight.open_items or not any(order.batch[p].request == request for p in flight.open_items):
            case.in_flight.pop(order.id, None)
        if case.outcome is not None:
            self._close_if_settled(case)
            return
        if request not in lab.touched:
            lab.touched.append(request)
        if not case.in_flight:
            lab.idle[request] = case

    def _settle(self, flight: Flight, order: Infer) -> None:
        if not flight.open_items:
            del self.flights[order.id]
            self._lab.states[order.board].settled(order.id, order.instance, self._lab.now)

    # --- ends -----------------------------------------------------------------------------------------

    def fix(self, case: Case, outcome: Outcome, reason: str = "") -> None:
        """Fix a request's outcome, once; its record follows when every action for it has settled."""
        lab, request = self._lab, case.request.id
        case.outcome = outcome
        case.ended = lab.now
        case.reason = reason
        lab.idle.pop(request, None)
        self._overdue.discard(request)
        del lab.open[request]
        if case.in_flight:
            lab.settling[request] = case
        else:
            self._close(case, outcome)

    def end_forgotten(self, touched: Iterable[RequestId]) -> Ns | None:
        """End what the policy, which just had its say, leaves to itself; when the next deadline wants it asked again.

        A request whose last attempt failed and for which nothing more was ordered has failed. What nobody works on
        when its deadline has passed expires; what is in flight then is waited for: late, not expired, unless the
        policy drops it. Deadlines need no timer while all are in flight.

        Args:
            touched: requests that may wait since the last call.
        """
        lab, deadlines = self._lab, self._deadlines
        idle = lab.idle
        if idle:
            for request in touched:
                case = idle.get(request)
                if case is None:
                    continue
                if case.steps and not case.steps[-1].ok:
                    errors = [step.error for step in case.steps if step.error]
                    self.fix(
                        case, Outcome.FAILED, errors[-1] if errors else "cancelled and not ordered again"
                    )
                elif request in self._overdue:
                    self.fix(case, Outcome.EXPIRED, EXPIRED)
        while deadlines and (deadlines[0][0] <= lab.now or deadlines[0][1] not in lab.open):
            request = heapq.heappop(deadlines)[1]
            if request in idle:
                self.fix(idle[request], Outcome.EXPIRED, EXPIRED)
            elif request in lab.open:
                self._overdue.add(request)
        return deadlines[0][0] if idle and deadlines else None

    def abort_all(self, reason: str) -> None:
        """End everything that is open, without waiting for boards."""
        for case in [*self._lab.settling.values(), *self._lab.open.values()]:
            case.in_flight.clear()
            if case.outcome is None:
                self.fix(case, Outcome.ABORTED, reason)
            else:
                self._close_if_settled(case)
        self.flights.clear()

    def _close_if_settled(self, case: Case) -> None:
        if not case.in_flight and case.outcome is not None:
            del self._lab.settling[case.request.id]
            self._close(case, case.outcome)

    def _close(self, case: Case, outcome: Outcome) -> None:
        request, answer, lab = case.request, case.answer, self._lab
        steps = tuple(case.steps)
        lab.finished_count += 1
        lab.closed.append(Ended(request, outcome, steps, case.ended))
        truth = self._truth(request) if answer is not None else None
        record = RequestRecord(
            request=request,
            outcome=outcome,
            seen=case.seen,
            ended=case.ended,
            label=answer.label if answer is not None else None,
            correct=answer.label == truth if answer is not None and truth is not None else None,
            steps=steps,
            used=answer.steps if answer is not None else (),
            predicted_finish=case.predicted_finish,
            predicted_accuracy=case.predicted_accuracy,
            reason=case.reason,
            best_accuracy=case.best_accuracy,
        )
        self.closed.append(Close(record))


def _step(flight: Flight, order: Infer, position: int, event: Executed, *, late: bool) -> Step:
    run = event.execution
    result: ItemResult = run.items[position]
    return Step(
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
