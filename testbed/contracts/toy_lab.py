"""A toy lab in toy time, so that whoever writes a policy can run it without boards, shells or waiting.

It keeps to what ``testbed.model`` says orders mean, and objects with ``PolicyError`` to what a policy must
not do. It is not the simulator: it measures nothing and its figures mean nothing.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from testbed.contracts.toy_board import Flight, ToyMachine, ToyTime
from testbed.contracts.toy_models import ToyBoard, ToyModel, book
from testbed.contracts.toy_requests import ToyCase, ToyEnd, demand
from testbed.errors import PolicyError
from testbed.model.action import Action, Answer, Cancel, Decision, Infer, Load, Output, Region, Reject, Sample
from testbed.model.execution import Execution, Step
from testbed.model.placement import BoardSnapshot, Demand, LabSnapshot, Placement
from testbed.model.request import Outcome, Request
from testbed.model.view import Health
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.model.ids import ActionId, BoardId, RequestId
    from testbed.ports import Policy

MAX_STEPS = 200_000
"""A policy that keeps a small lab busy for longer than this will not come to an end."""

IMAGE_AREA = 784


class ToyLab:
    """Implements ``View`` and runs one policy over one list of requests.

    Attributes:
        orders: every action in the order it was given, with its instant.
        ends: how each request ended. cancels: how many cancels were caught at which stage.
        plans: placements in the order they became known.
    """

    def __init__(
        self,
        policy: Policy,
        boards: Sequence[ToyBoard],
        models: Sequence[ToyModel],
        requests: Sequence[Request],
        *,
        faults: Sequence[tuple[Ns, BoardId, Health]] = (),
        payload_bytes: int = 784,
        plan_cost: Ns = 5 * MS,
    ) -> None:
        """Lay everything out; `run` makes it happen.

        Args:
            faults: instants at which a board goes down or comes up.
            payload_bytes: of one sample; a region costs its share of the area.
        """
        self.time = ToyTime()
        self.profiles = book(boards, models)
        self.placement = Placement()
        self.touched: list[RequestId] = []
        self.cases: dict[RequestId, ToyCase] = {}
        self.waiting: dict[RequestId, ToyCase] = {}
        self._settling: dict[RequestId, ToyCase] = {}
        self.finished: deque[ToyEnd] = deque(maxlen=64)
        self.finished_count = 0
        self.orders: list[tuple[Ns, Action]] = []
        self.ends: dict[RequestId, ToyEnd] = {}
        self.cancels: Counter[str] = Counter()
        self.plans: list[Placement] = []
        self._policy, self._payload_bytes, self._plan_cost = policy, payload_bytes, plan_cost
        self._requests = {r.id: r for r in requests}
        by_name = {m.name: m for m in models}
        self.machines = {
            b.id: ToyMachine(b, by_name, self.time, self._requests.__getitem__, self._told) for b in boards
        }
        self.touched_boards = self.machines  # all of them: naming more than changed is allowed
        self._flights: dict[ActionId, Flight] = {}
        self._keepers: dict[ActionId, set[RequestId]] = {}
        self._arrivals: list[Request] = []
        self._last_id = 0
        self._revisit: Ns | None = None
        for request in requests:
            self._at(request.arrival, partial(self._arrive, request))
            if request.deadline is not None:
                self._at(request.deadline, bool)  # a timer, so that what waits can expire
        for t, board, health in faults:
            self._at(t, partial(self._switch, board, health))

    # --- View ----------------------------------------------------------------------------------------

    @property
    def boards(self) -> Mapping[BoardId, ToyMachine]:
        """All boards."""
        return self.machines

    @property
    def demand(self) -> Demand:
        """Over the last second; the average is the rate itself."""
        return demand(self._arrivals, self.time.now)

    def new_id(self) -> ActionId:
        """Count up from 1."""
        self._last_id += 1
        return self._last_id

    def payload_bytes(self, request: RequestId, codec: str = "raw") -> int:
        """The same for every sample; any codec halves it."""
        return self._payload_bytes if codec == "raw" else self._payload_bytes // 2

    # --- the loop ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until nothing more will happen.

        Raises:
            PolicyError: the policy did what it must not, or does not come to an end.
        """
        self._plan()
        for _ in range(MAX_STEPS):
            if not self.time.step():
                return
        raise PolicyError(f"no end after {MAX_STEPS} things happened; {len(self.cases)} requests are open")

    def snapshot(self) -> LabSnapshot:
        """The lab as it would travel to another process."""
        boards = tuple(
            BoardSnapshot(
                id=b.id,
                kind=b.kind,
                site=b.site,
                up=b.health is Health.UP,
                memory_bytes=b.memory_bytes,
                resident=tuple(b.resident.items()),
                rtt=b.rtt,
                up_bytes_per_s=b.up_bytes_per_s,
                down_bytes_per_s=b.down_bytes_per_s,
                cores=b.cores,
                price_per_s=b.price_per_s,
            )
            for b in self.machines.values()
        )
        return LabSnapshot(now=self.time.now, boards=boards, profiles=self.profiles)

    def _at(self, t: Ns, what: Callable[[], object]) -> None:
        """Let something happen that the policy is to decide upon."""

        def both() -> None:
            what()
            self._decide()

        self.time.at(t, both)

    def _plan(self) -> None:
        """Plan on copies that went through bytes, as if in another process."""
        demand = msgspec.msgpack.decode(msgspec.msgpack.encode(self.demand), type=Demand)
        snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(self.snapshot()), type=LabSnapshot)
        plan = self._policy.plan(demand, snapshot)
        ready = msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=Placement)
        self._at(self.time.now + self._plan_cost, lambda: self._planned(ready))

    def _planned(self, placement: Placement) -> None:
        self.placement = placement
        self.plans.append(placement)

    def _arrive(self, request: Request) -> None:
        self._arrivals.append(request)
        self.cases[request.id] = self.waiting[request.id] = ToyCase(request)
        self.touched.append(request.id)

    def _switch(self, board: BoardId, health: Health) -> None:
        machine = self.machines[board]
        if health is not Health.DOWN:
            machine.come_up()
            return
        machine.go_down()
        for flight in [f for f in self._flights.values() if f.order.board == board]:
            self._settle(flight, set(flight.open), error="board is gone")

    # --- what comes back -----------------------------------------------------------------------------

    def _told(self, flight: Flight, how: Execution | str) -> None:
        if flight.order.id not in self._flights:
            return
        if isinstance(how, str):
            self._settle(flight, set(flight.open), error=how)
        else:
            self._settle(flight, set(flight.open), execution=how)
        self._decide()

    def _settle(
        self,
        flight: Flight,
        positions: set[int],
        *,
        execution: Execution | None = None,
        error: str | None = None,
        cancelled: str | None = None,
    ) -> None:
        """Turn positions of a batch into steps of their requests."""
        order = flight.order
        flight.open -= positions
        self.machines[order.board].queued -= len(positions)
        if not flight.open:
            del self._flights[order.id]
        held = {order.batch[p].request for p in flight.open}
        for position in sorted(positions):
            step = Step(
                id=(order.id, position),
                board=order.board,
                model=order.model,
                decided=flight.decided,
                sent=flight.sent,
                answered=self.time.now,
                batch=len(order.batch),
                error=error,
                cancelled=cancelled,
            )
            if execution is not None:
                told = msgspec.structs.asdict(execution.items[position])
                step = msgspec.structs.replace(
                    step,
                    received=execution.received,
                    started=execution.started,
                    finished=execution.finished,
                    origin=execution.origin,
                    **told,
                )
            self._tell(order.batch[position].request, step, still=order.batch[position].request in held)

    def _tell(self, request: RequestId, step: Step, *, still: bool) -> None:
        case = self.cases.get(request) or self._settling[request]
        case.steps.append(step)
        if not still:
            case.in_flight.pop(step.action, None)
        if case.outcome is not None:
            self._finish(case)
            return
        if request not in self.touched:
            self.touched.append(request)
        if not case.in_flight:
            self.waiting[request] = case

    # --- the policy ----------------------------------------------------------------------------------

    def _decide(self) -> None:
        self.touched = [r for r in self.touched if r in self.cases]
        seen = list(self.touched)
        decision: Decision = self._policy.decide(self.time.now, self)
        self.touched = []
        for action in decision.actions:
            self.orders.append((self.time.now, action))
            self._carry_out(action)
        self._revisit = decision.revisit
        if decision.revisit is not None:
            wanted = max(decision.revisit, self.time.now)
            self.time.at(wanted, lambda: self._tick(wanted))
        if decision.replan:
            self._plan()
        for request in seen:
            case = self.waiting.get(request)
            if case is not None and case.steps and not case.steps[-1].ok:
                self._close(case, Outcome.FAILED)
        for case in list(self.waiting.values()):
            if case.request.deadline is not None and case.request.deadline <= self.time.now:
                self._close(case, Outcome.EXPIRED)

    def _tick(self, wanted: Ns) -> None:
        if self._revisit is not None and max(self._revisit, wanted) <= self.time.now:
            self._revisit = None
            self._decide()

    def _carry_out(self, action: Action) -> None:
        match action:
            case Infer():
                self._infer(action)
            case Load():
                self._live(action.board).load(action, lambda _: self._decide())
            case Answer():
                case = self._open(action.request)
                degraded = Outcome.DEGRADED if action.degraded else Outcome.COMPLETED
                self._close(case, degraded, answer=action)
            case Reject():
                self._close(self._open(action.request), Outcome.REJECTED, reject=action)
            case Cancel():
                self._cancel(action)

    def _infer(self, order: Infer) -> None:
        machine = self._live(order.board)
        if order.id in self._flights or not order.batch:
            raise PolicyError(f"action {order.id} is under way already, or its batch is empty")
        if order.latest is not None and order.latest < max(self.time.now, order.earliest or 0):
            raise PolicyError(f"the window of action {order.id} is empty or over")
        flight = self._flights[order.id] = Flight(order, self.time.now)
        if order.keep:
            self._keepers[order.id] = {item.request for item in order.batch}
        carried, ready = 0.0, self.time.now
        for item in order.batch:
            case = self._open(item.request)
            case.in_flight[order.id] = order
            self.waiting.pop(item.request, None)
            if isinstance(item.input, Output):
                size, there = self._fetch(item.input, machine)
                carried, ready = carried + size, max(ready, there)
            elif case.request.source != order.board:
                carried += self.payload_bytes(item.request, order.codec) * _area_frac(item.input)
        machine.take(flight, carried, ready)

    def _fetch(self, wanted: Output, machine: ToyMachine) -> tuple[int, Ns]:
        """Bytes to carry to the board that wants an output, and when they are at the host [ns]."""
        key = (wanted.action, wanted.item)
        holder = next((m for m in self.machines.values() if key in m.outputs), None)
        if holder is None or holder is machine:
            return 0, self.time.now
        machine.outputs[key] = holder.outputs[key]
        size = holder.outputs[key][1]
        return size, self.time.now + holder.rtt + round(size / holder.down_bytes_per_s * S)

    def _cancel(self, cancel: Cancel) -> None:
        flight = self._flights.get(cancel.action)
        if flight is None:
            return
        batch = flight.order.batch
        positions = {p for p in flight.open if cancel.requests is None or batch[p].request in cancel.requests}
        if positions == flight.open:
            stage = self.machines[flight.order.board].stop(flight)
        else:
            stage = {"sending": "before_start", "queued": "before_start"}.get(flight.stage, "too_late")
        self.cancels[stage] += 1
        if stage != "too_late" and positions:
            self._settle(flight, positions, cancelled=stage)

    def _live(self, board: BoardId) -> ToyMachine:
        machine = self.machines.get(board)
        if machine is None or machine.health is Health.DOWN:
            raise PolicyError(f"the policy ordered for board {board!r}, which is unknown or down")
        return machine

    def _open(self, request: RequestId) -> ToyCase:
        case = self.cases.get(request)
        if case is None:
            raise PolicyError(f"request {request} is not open: it never came, or has ended already")
        return case

    def _close(
        self, case: ToyCase, outcome: Outcome, answer: Answer | None = None, reject: Reject | None = None
    ) -> None:
        request = case.request.id
        case.outcome, case.answer, case.reject = outcome, answer, reject
        case.answered = self.time.now
        self._settling[request] = self.cases.pop(request)
        self.waiting.pop(request, None)
        self._finish(case)
        for action in [a for a, held in self._keepers.items() if held.isdisjoint(self.cases)]:
            del self._keepers[action]
            for machine in self.machines.values():
                for key in [key for key in machine.outputs if key[0] == action]:
                    del machine.outputs[key]

    def _finish(self, case: ToyCase) -> None:
        """An end is told when the last action has settled, since losers and shadows are a part of it."""
        if case.in_flight or case.outcome is None:
            return
        request = case.request.id
        del self._settling[request]
        self.ends[request] = ToyEnd(
            request=case.request,
            outcome=case.outcome,
            steps=tuple(case.steps),
            answered=case.answered,
            answer=case.answer,
            reject=case.reject,
        )
        self.finished.append(self.ends[request])
        self.finished_count += 1


def _area_frac(wanted: Sample | Region | Output) -> float:
    if not isinstance(wanted, Region):
        return 1.0
    left, top, right, bottom = wanted.box
    return (right - left) * (bottom - top) / IMAGE_AREA
