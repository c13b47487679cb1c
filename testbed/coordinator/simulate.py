"""The virtual-time shell: the very same core and policy, a heap of events instead of a lab.

Boards are draws from their profiles (`testbed.coordinator.modelled`), decisions and plans take a declared time.
Seeded, and the same to the bit on every run.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from testbed.coordinator.effects import Close, Dispatch, Effect, Plan, Remark, WakeAt
from testbed.coordinator.modelled import Flying, ModelledBoard
from testbed.model import event as ev
from testbed.model.action import Cancel, Infer, Load
from testbed.units import US, Ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from testbed.coordinator.core import Core
    from testbed.model.ids import ActionId, BoardId
    from testbed.model.request import Request
    from testbed.ports import Policy, RecordSink

ON_COORDINATOR = -1
"""``boot`` of stamps that are already on the coordinator's clock."""


class Costs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What thinking costs in virtual time; declared, since the host's own speed is not part of the model.

    Attributes:
        decide: from an event to its orders leaving. plan: from asking for a plan to having it.
    """

    decide: Ns = 50 * US
    plan: Ns = 10_000 * US


class VirtualTrial:
    """One trial of one policy on modelled boards."""

    def __init__(
        self,
        core: Core,
        policy: Policy,
        boards: Mapping[BoardId, ModelledBoard],
        payload_bytes: Callable[[Infer, tuple[int, ...]], int],
        records: RecordSink,
        *,
        costs: Costs | None = None,
        on_close: Callable[[], None] = lambda: None,
        on_remark: Callable[[Ns, str], None] = lambda t, text: None,
    ) -> None:
        """Put the shell around a core.

        Args:
            payload_bytes: size of an order's payload on the link.
            records: gets each `RequestRecord` as its request settles.
            on_close: called once per settled request, for progress.
            on_remark: called with the instant and text of each note of the policy.
        """
        self._core = core
        self._policy = policy
        self._boards = boards
        self._payload_bytes = payload_bytes
        self._records = records
        self._costs = costs or Costs()
        self._on_close = on_close
        self._on_remark = on_remark
        self._heap: list[tuple[Ns, int, ev.CoreEvent, Flying | None, int]] = []
        self._flying: dict[ActionId, Flying] = {}
        self._sequence = 0
        self._wake = 0
        self._now: Ns = 0

    def run(self, requests: Iterable[Request], known: Iterable[ev.CoreEvent], limit: Ns) -> tuple[Ns, Ns]:
        """Play the requests until each has its record.

        Args:
            requests: arrivals relative to the start [ns], ascending; taken one at a time, so any number fits.
            known: events that tell the core how the lab stands.
            limit: bound on the virtual time after the last arrival; what is open then is ABORTED.

        Returns:
            start and end of the load in virtual time [ns].
        """
        self._carry_out(self._core.start(0))
        for event in known:
            self._handle(msgspec.structs.replace(event, t=self._now))
        self._drain(until=None)
        start = self._now
        last = start
        for request in requests:
            last = start + request.arrival
            self._drain(until=last)
            self._handle(ev.Arrived(t=last, request=_shift(request, start)))
        while self._core.open_requests and self._heap and self._heap[0][0] <= last + limit:
            self._step()
        if self._core.open_requests:
            self._handle(ev.Stop(t=last + limit, reason="not answered when the trial's limit passed"))
        return start, self._now

    def _drain(self, until: Ns | None) -> None:
        while self._heap and (until is None or self._heap[0][0] <= until):
            self._step()

    def _step(self) -> None:
        _t, _, event, flying, version = heapq.heappop(self._heap)
        if isinstance(event, ev.Tick):
            if version != self._wake:
                return  # another wake-up took its place
        elif flying is not None:
            if version != flying.version or event.action not in self._flying:  # type: ignore[union-attr]
                return  # it was moved, or taken back
            del self._flying[flying.order.id]
        self._handle(event)

    def _at(self, t: Ns, event: ev.CoreEvent, flying: Flying | None = None, version: int = 0) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (t, self._sequence, event, flying, version))

    def _handle(self, event: ev.CoreEvent) -> None:
        self._now = max(self._now, event.t)
        self._carry_out(self._core.handle(event))

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Dispatch(board=board, order=order, samples=samples):
                    self._dispatch(self._boards[board], order, samples)
                case Close(record=record):
                    self._records.write(record)
                    self._on_close()
                case WakeAt(t=t):
                    self._wake += 1
                    if t is not None:
                        self._at(max(t, self._now), ev.Tick(t=max(t, self._now)), None, self._wake)
                case Remark(t=t, text=text):
                    self._on_remark(t, text)
                case Plan(demand=demand, lab=lab):
                    ready = self._now + self._costs.plan
                    placement = self._policy.plan(demand, lab)
                    self._at(ready, ev.PlanReady(t=ready, placement=placement, cost=self._costs.plan))

    def _dispatch(self, board: ModelledBoard, order: Infer | Load | Cancel, samples: tuple[int, ...]) -> None:
        leaves = self._now + self._costs.decide
        if isinstance(order, Infer):
            flying = board.take(order, samples, self._payload_bytes(order, samples), leaves)
            self._flying[order.id] = flying
            self._at(leaves, ev.Sent(t=leaves, action=order.id))
            self._answer(flying)
        elif isinstance(order, Load):
            load = board.load_time(order.model)
            t = leaves + board.link.rtt + load
            self._at(t, ev.Loaded(t=t, action=order.id, board=board.id, model=order.model, load=load))
        else:
            self._cancel(board, order, leaves)

    def _answer(self, flying: Flying) -> None:
        assert flying.execution is not None
        event = ev.Executed(
            t=flying.answered, action=flying.order.id, execution=flying.execution, boot=ON_COORDINATOR
        )
        self._at(flying.answered, event, flying, flying.version)

    def _cancel(self, board: ModelledBoard, order: Cancel, leaves: Ns) -> None:
        """Whole actions are taken back if they have not started; single items of a batch run on."""
        flying = self._flying.get(order.action)
        if flying is None or order.requests is not None:
            return
        arrives = leaves + board.link.rtt // 2
        behind = board.cancel(flying, arrives)
        if behind is None:
            return
        del self._flying[order.action]
        for moved in behind:
            self._answer(moved)
        t = arrives + board.link.rtt // 2
        self._at(t, ev.Cancelled(t=t, action=order.action, stage="before_start"))


def _shift(request: Request, start: Ns) -> Request:
    deadline = None if request.deadline is None else request.deadline + start
    return msgspec.structs.replace(request, arrival=request.arrival + start, deadline=deadline)
