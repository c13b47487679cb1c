"""The virtual-time shell: the very same core and policy, a heap of events instead of a lab.

Boards are draws from their profiles (`testbed.coordinator.modelled`), decisions and plans take a declared time.
Seeded, and the same to the bit on every run.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from testbed.coordinator.effects import Close, Dispatch, Effect, Remark, WakeAt
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


_NEVER: Ns = 1 << 63


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
        on_remark: Callable[[Ns, str], None] = lambda t, text: None,
    ) -> None:
        """Put the shell around a core.

        Args:
            payload_bytes: size of an order's payload on the link.
            records: gets each `RequestRecord` as its request settles.
            on_remark: called with the instant and text of each note of the policy.
        """
        self._core = core
        self._policy = policy
        self._boards = boards
        self._payload_bytes = payload_bytes
        self._records = records
        self._costs = costs or Costs()
        self._on_remark = on_remark
        self._heap: list[tuple[Ns, int, ev.CoreEvent, Flying | None, int]] = []
        self._flying: dict[ActionId, Flying] = {}
        self._sequence = 0
        self._wake = 0
        self._now: Ns = 0

    def run(
        self, requests: Callable[[Ns], Iterable[Request]], known: Iterable[ev.CoreEvent], limit: Ns
    ) -> tuple[Ns, Ns]:
        """Play the requests until each has its record.

        Args:
            requests: by ascending arrival, for a start at the instant given [ns]; taken one at a time, so any
                number fits.
            known: events that tell the core how the lab stands.
            limit: bound on the virtual time after the last arrival; what is open then is ABORTED.

        Returns:
            start and end of the load in virtual time [ns].
        """
        self._carry_out(self._core.start(0))
        for event in known:
            self._handle(msgspec.structs.replace(event, t=self._now))
        self._drain(_NEVER)
        start = self._now
        last = start
        for request in requests(start):
            last = request.arrival
            self._drain(last)
            self._handle(ev.Arrived(t=last, request=request))
        self._drain(last + limit, only_open=True)
        if self._core.open_requests:
            self._end(ev.Stop(t=last + limit, reason="not answered when the trial's limit passed"))
        return start, self._now

    def _end(self, stop: ev.Stop) -> None:
        """Close what is open; what has not started then never does.

        Boards are not told one by one: that would move whoever is behind in a long queue again and again.
        """
        self._now = max(self._now, stop.t)
        for flying in self._flying.values():
            if flying.started >= stop.t:
                self._boards[flying.order.board].busy[flying.order.model] -= flying.service
        self._carry_out(effect for effect in self._core.handle(stop) if isinstance(effect, Close))

    def _drain(self, until: Ns, *, only_open: bool = False) -> None:
        """Let everything happen that happens up to an instant, or until no request is open any more."""
        heap, core = self._heap, self._core
        while heap and heap[0][0] <= until and (not only_open or core.open_requests):
            _t, _, event, flying, version = heapq.heappop(heap)
            if flying is not None:
                if version != flying.version or flying.order.id not in self._flying:
                    continue  # it was moved, or taken back
                self._land(flying)
            elif version and version != self._wake:
                continue  # another wake-up took its place
            self._handle(event)

    def _land(self, flying: Flying) -> None:
        """Forget an order that is over, and tell when it had left: stamped as it was, told when somebody may ask."""
        order = flying.order
        del self._flying[order.id]
        self._core.handle(ev.Sent(t=flying.left, action=order.id))

    def _at(self, t: Ns, event: ev.CoreEvent, flying: Flying | None = None, version: int = 0) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (t, self._sequence, event, flying, version))

    def _handle(self, event: ev.CoreEvent) -> None:
        if event.t > self._now:
            self._now = event.t
        self._carry_out(self._core.handle(event))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Dispatch):
                self._dispatch(self._boards[effect.board], effect.order, effect.samples)
            elif isinstance(effect, Close):
                self._records.write(effect.record)
            elif isinstance(effect, WakeAt):
                self._wake += 1
                if effect.t is not None:
                    t = max(effect.t, self._now)
                    self._at(t, ev.Tick(t=t), None, self._wake)
            elif isinstance(effect, Remark):
                self._on_remark(effect.t, effect.text)
            else:
                ready = self._now + self._costs.plan
                placement = self._policy.plan(effect.demand, effect.lab)
                self._at(ready, ev.PlanReady(t=ready, placement=placement, cost=self._costs.plan))

    def _dispatch(self, board: ModelledBoard, order: Infer | Load | Cancel, samples: tuple[int, ...]) -> None:
        leaves = self._now + self._costs.decide
        if isinstance(order, Infer):
            flying = board.take(order, samples, self._payload_bytes(order, samples), leaves)
            self._flying[order.id] = flying
            if board.residency.holds(order.model, flying.received):
                self._answer(flying)
            else:
                self._fail(board, flying, flying.received)
        elif isinstance(order, Load):
            self._load(board, order, leaves)
        else:
            self._cancel(board, order, leaves)

    def _load(self, board: ModelledBoard, order: Load, leaves: Ns) -> None:
        """What is evicted fails where it has not started."""
        arrives = board.reached(leaves)
        for flying in [f for f in self._flying.values() if f.order.board == board.id] if order.evict else ():
            if flying.order.model in order.evict:
                self._fail(board, flying, arrives)
        ready, took, error = board.residency.load(order, arrives)
        t = ready + board.link.rtt - board.link.rtt // 2
        if error:
            self._at(t, ev.Failed(t=t, action=order.id, error=error))
        else:
            self._at(t, ev.Loaded(t=t, action=order.id, board=board.id, model=order.model, load=took))

    def _fail(self, board: ModelledBoard, flying: Flying, arrives: Ns) -> None:
        """An order whose model is not there when it arrives, or is taken away before it starts."""
        behind = board.cancel(flying, arrives - 1)
        if behind is None:
            return
        self._land(flying)
        for moved in behind:
            self._answer(moved)
        t = arrives + board.link.rtt - board.link.rtt // 2
        error = f"{flying.order.model!r} is not resident"
        self._at(t, ev.Failed(t=t, action=flying.order.id, error=error))

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
        arrives = board.reached(leaves)
        behind = board.cancel(flying, arrives)
        if behind is None:
            return
        self._land(flying)
        for moved in behind:
            self._answer(moved)
        t = arrives + board.link.rtt // 2
        self._at(t, ev.Cancelled(t=t, action=order.action, stage="before_start"))
