"""The book of open requests and orders under way: what every step and every end goes through.

Exactly one record leaves here per request: its outcome is fixed once, and the record is written when the
last action that was ordered for it has settled, since a loser's energy counts.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from testbed.coordinator.effects import Close
from testbed.coordinator.state import BoardState, Case, Ended, Flight, LabState
from testbed.errors import PolicyError
from testbed.model.action import Infer, Load
from testbed.model.execution import CANCEL_STAGES, Step
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from testbed.model.event import Executed
    from testbed.model.ids import ActionId, BoardId, RequestId, StepId
    from testbed.units import Ns

EXPIRED = "deadline passed with nothing under way"
_ENDED_DEADLINES = 64
"""So many deadlines of requests that have ended may lie about, beside as many as are open, before they are swept."""


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
        lab, name = self._lab, request.id
        lab.open[name] = lab.idle[name] = Case(request, seen)
        lab.touched.append(name)
        lab.meter.saw(lab.now, request)
        deadline, deadlines = request.deadline, self._deadlines
        if deadline is not None:
            heapq.heappush(deadlines, (deadline, request.id))
            if len(deadlines) > 2 * len(lab.open) + _ENDED_DEADLINES:
                self._forget_ended()

    def _forget_ended(self) -> None:
        """Forget deadlines of requests that have ended; a function of its own, since comprehensions make cells."""
        still_open = self._lab.open
        self._deadlines[:] = [entry for entry in self._deadlines if entry[1] in still_open]
        heapq.heapify(self._deadlines)

    def case(self, request: RequestId, what: str) -> Case:
        """The case of an open request.

        Args:
            what: the policy did with it, for the error.

        Raises:
            PolicyError: it is not open.
        """
        case = self._lab.open.get(request)
        if case is None:
            raise PolicyError(f"the policy {what} request {request}, which is not open")
        return case

    def infer(self, order: Infer, board: BoardState, estimate: Ns) -> tuple[int, ...]:
        """Enter an inference for open requests; returns the input index of each item.

        Raises:
            PolicyError: one of them is not open.
        """
        lab, batch, expected = self._lab, order.batch, order.expected
        now, action, idle = lab.now, order.id, lab.idle
        samples = []
        for item in batch:
            request = item.request
            case = lab.open.get(request) or self.case(request, "ordered an inference for")
            case.in_flight[action] = order
            if request in idle:
                del idle[request]
            samples.append(case.request.sample)
            if case.predicted_finish is None and expected is not None:
                case.predicted_finish = expected.finish
                case.predicted_accuracy = expected.accuracy
        self.flights[action] = Flight(order, now, estimate, len(batch))
        board.took(order.instance, now, estimate, len(batch))
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
        run, items, cancelled = event.execution, flight.open_items, flight.cancel_ordered
        positions = tuple(items) if len(items) == 1 else sorted(items)
        for position in positions:
            late = None
            if cancelled and position in cancelled:
                late = "too_late"
                self.counters["cancelled_too_late"] += 1
            result = run.items[position]
            # In the order of the fields: so many by name take six times as long, and this is made for every answer.
            step = Step(
                (order.id, position),
                order.board,
                order.model,
                flight.decided,
                event.t,
                flight.sent if event.sent is None else event.sent,
                run.received,
                run.started,
                run.finished,
                event.boot,
                len(order.batch),
                result.exit,
                result.label,
                result.confidence,
                result.scores,
                result.lost_frac,
                result.boxes,
                result.kept_bytes,
                result.lost_rows,
                None,  # energy_j: attributed when the run is told
                run.asked_service,
                run.origin,
                None,
                late,
            )
            self._tell(flight, order, position, step)
        self._settle(flight, order, len(positions))

    def end_items(
        self,
        flight: Flight,
        order: Infer,
        positions: Collection[int],
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
        self._settle(flight, order, len(positions))

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
        left = flight.open_items
        left.discard(position)
        # Several regions of one request may lie in one batch: only the last of them lets go of the action.
        if not left or not _asks(order, left, request):
            case.in_flight.pop(order.id, None)
        if case.outcome is not None:
            self._close_if_settled(case)
            return
        if request not in lab.touched:
            lab.touched.append(request)
        if not case.in_flight:
            lab.idle[request] = case

    def _settle(self, flight: Flight, order: Infer, items: int) -> None:
        """So many items have got their step."""
        lab = self._lab
        if flight.open_items:
            lab.states[order.board].told(items)
        else:
            del self.flights[order.id]
            lab.states[order.board].settled(order.instance, lab.now, flight.estimate, items)

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
        elif not deadlines or deadlines[0][0] > lab.now:
            return None
        still_open = lab.open
        while deadlines:
            deadline, request = deadlines[0]
            if deadline > lab.now and request in still_open:
                return deadline if idle else None
            heapq.heappop(deadlines)
            if request in idle:
                self.fix(idle[request], Outcome.EXPIRED, EXPIRED)
            elif request in still_open:
                self._overdue.add(request)
        return None

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
        request, answer, lab, ended = case.request, case.answer, self._lab, case.ended
        steps = tuple(case.steps)
        lab.finished_count += 1
        lab.closed.append(Ended(request, outcome, steps, ended))
        label = correct = None
        used: tuple[StepId, ...] = ()
        if answer is not None:
            label, used = answer.label, answer.steps
            truth = self._truth(request)
            if truth is not None:
                correct = label == truth
        record = RequestRecord(
            request=request,
            outcome=outcome,
            seen=case.seen,
            ended=ended,
            label=label,
            correct=correct,
            steps=steps,
            used=used,
            predicted_finish=case.predicted_finish,
            predicted_accuracy=case.predicted_accuracy,
            reason=case.reason,
            best_accuracy=case.best_accuracy,
        )
        self.closed.append(Close(record))


def _asks(order: Infer, positions: Iterable[int], request: RequestId) -> bool:
    """Whether one of these places of a batch is a request's."""
    return any(order.batch[position].request == request for position in positions)
