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

from typing import TYPE_CHECKING, Any

from testbed.coordinator.book import Book
from testbed.coordinator.effects import Dispatch, Effect, Plan, Remark, WakeAt
from testbed.coordinator.state import FINISHED_WINDOW, BoardSetup, BoardState, LabState
from testbed.errors import PolicyError, did_you_mean
from testbed.model import event as ev
from testbed.model.action import Answer, Cancel, Decision, Infer, Load, Reject
from testbed.model.request import Outcome, Request
from testbed.model.view import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from testbed.model.ids import ActionId, BoardId, ModelId
    from testbed.model.profile import ProfileBook
    from testbed.ports import Policy
    from testbed.units import Ns

_COMPLETED, _DEGRADED = Outcome.COMPLETED, Outcome.DEGRADED


class Core:
    """One trial's bookkeeping around one policy.

    Attributes:
        decision: what the policy decided on the last event, ``None`` where it was not asked.
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
        self._book = Book(self._lab, truth)
        self._revisit: Ns | None = None
        self._wake: Ns | None = None
        self._out: list[Effect] = []
        self._stopped = False
        self._estimates: dict[tuple[BoardId, ModelId, int], Ns] = {}
        self.decision: Decision | None = None
        self._takes: dict[type[ev.CoreEvent], Callable[[Any], bool]] = {
            ev.Arrived: self._arrived,
            ev.Sent: self._sent,
            ev.Executed: self._executed,
            ev.Failed: self._failed,
            ev.Cancelled: self._cancelled,
            ev.Loaded: self._loaded,
            ev.BoardUp: self._board_up,
            ev.BoardDown: self._board_down,
            ev.NetworkSeen: self._network_seen,
            ev.Tick: self._tick,
            ev.PlanReady: self._plan_ready,
            ev.Stop: self._stop,
        }

    @property
    def open_requests(self) -> int:
        """Requests without a record yet."""
        return len(self._lab.open) + len(self._lab.settling)

    @property
    def counters(self) -> dict[str, int]:
        """Cancels by stage, decisions and plans so far."""
        return dict(self._book.counters)

    def start(self, now: Ns) -> list[Effect]:
        """First effects: the policy's first plan."""
        self._lab.now = now
        self._plan()
        out, self._out = self._out, []
        return out

    def handle(self, event: ev.CoreEvent) -> list[Effect]:
        """Take one event, return what is to be done, in order.

        Raises:
            PolicyError: the policy broke its contract; the trial cannot go on.
        """
        if self._stopped:
            return []
        lab = self._lab
        # Threads at the rim may deliver a hair out of order; time in the core never runs backwards.
        if event.t > lab.now:
            lab.now = event.t
        self.decision = None
        if self._takes[type(event)](event):
            self._decide()
        out, self._out = self._out, []
        closed = self._book.closed
        if closed:
            out += closed
            closed.clear()
        return out

    # --- events; each handler says whether the policy has something to decide -------------------------

    def _arrived(self, event: ev.Arrived) -> bool:
        self._book.open(event.request, event.t)
        return True

    def _sent(self, event: ev.Sent) -> bool:
        flight = self._book.flights.get(event.action)
        if flight is not None:
            flight.sent = event.t
        return False

    def _network_seen(self, event: ev.NetworkSeen) -> bool:
        board = self._lab.states[event.board]
        board.rtt, board.loss_frac = event.rtt, event.loss_frac
        board.up_bytes_per_s, board.down_bytes_per_s = event.up_bytes_per_s, event.down_bytes_per_s
        board.changed()
        return False

    def _tick(self, event: ev.Tick) -> bool:
        if self._revisit is not None and event.t >= self._revisit:
            self._revisit = None
        self._wake = None
        return True

    def _plan_ready(self, event: ev.PlanReady) -> bool:
        self._lab.placement = event.placement
        return True

    def _executed(self, event: ev.Executed) -> bool:
        flight = self._book.flights.get(event.action)
        if flight is None or not isinstance(flight.order, Infer):
            return False  # a late duplicate of something already settled
        self._book.executed(flight, flight.order, event)
        return True

    def _failed(self, event: ev.Failed) -> bool:
        flight = self._book.flights.get(event.action)
        if flight is None:
            return False
        order = flight.order
        if isinstance(order, Load):
            self._book.failed_load(flight, order)
        else:
            self._book.end_items(
                flight,
                order,
                set(flight.open_items),
                event.t,
                error=event.error or "failed",
                lost_frac=event.lost_frac,
            )
        return True

    def _cancelled(self, event: ev.Cancelled) -> bool:
        flight = self._book.flights.get(event.action)
        if flight is None or not isinstance(flight.order, Infer) or event.stage == "too_late":
            return False  # too late: the execution itself settles it
        positions = set(flight.open_items)
        if event.requests is not None:
            positions = {p for p in positions if flight.order.batch[p].request in event.requests}
        self._book.counters[f"cancelled_{event.stage}"] += len(positions)
        self._book.end_items(flight, flight.order, positions, event.t, cancelled=event.stage)
        return True

    def _loaded(self, event: ev.Loaded) -> bool:
        flight = self._book.flights.pop(event.action, None)
        board = self._lab.states[event.board]
        copies = flight.order.instances if flight is not None and isinstance(flight.order, Load) else 1
        board.loading.pop(event.model, None)
        board.resident[event.model] = copies
        board.grow(copies)
        board.changed()
        return True

    def _board_up(self, event: ev.BoardUp) -> bool:
        board = self._lab.states[event.board]
        board.health = Health.UP
        board.boot = event.boot
        board.resident = dict(event.resident)
        board.grow(max(board.resident.values(), default=1))
        board.changed()
        return True

    def _board_down(self, event: ev.BoardDown) -> bool:
        board = self._lab.states[event.board]
        board.health = Health.DOWN
        board.changed()
        # The driver fails what was in flight; anything it forgot would hang its request, so end it here.
        for flight in self._book.on_board(event.board):
            self._failed(ev.Failed(t=event.t, action=flight.order.id, error=event.error))
        return True

    def _stop(self, event: ev.Stop) -> bool:
        for flight in self._book.flights.values():
            if isinstance(flight.order, Infer):
                self._out.append(Dispatch(flight.order.board, Cancel(action=flight.order.id)))
        self._book.abort_all(event.reason)
        self._stopped = True
        return False

    # --- the policy -----------------------------------------------------------------------------------

    def _decide(self) -> None:
        lab, touched = self._lab, self._lab.touched
        try:
            decision = self.decision = self._policy.decide(lab.now, lab)
        except Exception as error:
            # Whatever a policy raises is the policy's doing, and must not look like trouble of a board.
            raise PolicyError(f"decide raised {type(error).__name__}: {error}") from error
        book = self._book
        book.counters["decisions"] += 1
        lab.touched = []
        lab.touched_boards.clear()
        if len(lab.closed) > 2 * FINISHED_WINDOW:  # only now, since the policy has seen them
            lab.forget()
        for action in decision.actions:
            if isinstance(action, Infer):
                self._infer(action)
            elif isinstance(action, Answer):
                case = lab.open.get(action.request) or book.case(action.request, "answered")
                case.answer = action
                book.fix(case, _DEGRADED if action.degraded else _COMPLETED)
            else:
                self._carry_out(action)
        self._revisit = revisit = decision.revisit
        if decision.notes:
            self._remark(decision.notes)
        if decision.replan:
            self._plan()
        wake = book.end_forgotten(touched)
        if wake is None or (revisit is not None and revisit < wake):
            wake = revisit
        if wake != self._wake:
            self._wake = wake
            self._out.append(WakeAt(wake))

    def _carry_out(self, action: Load | Cancel | Reject) -> None:
        """What is seldom ordered."""
        if isinstance(action, Load):
            self._board(action.board)
            self._book.load(action)
            self._out.append(Dispatch(action.board, action))
        elif isinstance(action, Cancel):
            self._cancel(action)
        else:
            case = self._book.case(action.request, "rejected")
            case.best_accuracy = action.best_accuracy
            self._book.fix(case, Outcome.REJECTED, action.reason)

    def _infer(self, order: Infer) -> None:
        batch, board, book = order.batch, order.board, self._book
        if order.id in book.flights or not batch:
            raise PolicyError(f"action {order.id} is already in flight or has an empty batch")
        kind = (board, order.model, len(batch))
        estimate = self._estimates.get(kind)
        if estimate is None:
            profile = self._lab.profiles.find(board, order.model)
            estimate = profile.service_at(len(batch)) if profile is not None else 0
            self._estimates[kind] = estimate
        state = self._lab.states.get(board) or self._board(board)
        self._out.append(Dispatch(board, order, book.infer(order, state, estimate)))

    def _cancel(self, cancel: Cancel) -> None:
        flight = self._book.flights.get(cancel.action)
        if flight is None or not isinstance(flight.order, Infer):
            return  # it has settled meanwhile: cancelling is idempotent
        wanted = cancel.requests
        flight.cancel_ordered = flight.cancel_ordered | {
            p for p, item in enumerate(flight.order.batch) if wanted is None or item.request in wanted
        }
        self._out.append(Dispatch(flight.order.board, cancel))

    def _board(self, name: str) -> BoardState:
        board = self._lab.states.get(name)
        if board is None:
            raise PolicyError(
                f"the policy ordered for board {name!r}", cure=did_you_mean(name, self._lab.states)
            )
        return board

    def _remark(self, notes: Iterable[str]) -> None:
        self._out.extend(Remark(self._lab.now, text) for text in notes)

    def _plan(self) -> None:
        self._book.counters["plans"] += 1
        self._out.append(Plan(self._lab.demand, self._lab.snapshot()))
