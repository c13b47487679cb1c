"""The virtual-time shell: the very same core and policy, a heap of events instead of a lab.

Boards are draws from their profiles (`testbed.coordinator.modelled`), decisions and plans take a declared time.
Seeded, and the same to the bit on every run.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from testbed.coordinator.effects import Close, Dispatch, Effect, Remark, WakeAt
from testbed.coordinator.modelled import Flying, ModelledBoard
from testbed.model import event as ev
from testbed.model.action import Cancel, Infer, Load, Transport
from testbed.units import US, Ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from testbed.coordinator.core import Core
    from testbed.model.ids import ActionId, BoardId
    from testbed.model.request import Request
    from testbed.ports import Policy, RecordSink

ON_COORDINATOR = -1
"""``boot`` of stamps that are already on the coordinator's clock."""

_LOSSY = Transport.LOSSY
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
        self._heap: list[tuple[Ns, int, ev.CoreEvent | Flying]] = []
        self._flying: dict[ActionId, Flying] = {}
        self._sequence = itertools.count()
        self._tick: ev.Tick | None = None
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
            if self._heap:
                self._drain(last)
            self._now = last
            self._carry_out(self._core.handle(ev.Arrived(t=last, request=request)))
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
        heap, core, flights = self._heap, self._core, self._flying
        while heap and heap[0][0] <= until and (not only_open or core.open_requests):
            t, _, event = heapq.heappop(heap)
            if isinstance(event, Flying):
                action = event.order.id
                if flights.get(action) is not event:
                    continue  # it was moved, or taken back
                del flights[action]
                event = ev.Executed(
                    t=t, action=action, execution=event.execution, boot=ON_COORDINATOR, sent=event.left
                )
            elif isinstance(event, ev.Tick) and event is not self._tick:
                continue  # another wake-up took its place
            if t > self._now:
                self._now = t
            self._carry_out(core.handle(event))

    def _at(self, t: Ns, event: ev.CoreEvent | Flying) -> None:
        """Let something happen at an instant; what was put first comes first."""
        heapq.heappush(self._heap, (t, next(self._sequence), event))

    def _handle(self, event: ev.CoreEvent) -> None:
        if event.t > self._now:
            self._now = event.t
        self._carry_out(self._core.handle(event))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Dispatch):
                self._dispatch(effect)
            elif isinstance(effect, Close):
                self._records.write(effect.record)
            elif isinstance(effect, WakeAt):
                self._tick = None
                if effect.t is not None:
                    self._tick = ev.Tick(t=max(effect.t, self._now))
                    self._at(self._tick.t, self._tick)
            elif isinstance(effect, Remark):
                self._on_remark(effect.t, effect.text)
            else:
                ready = self._now + self._costs.plan
                placement = self._policy.plan(effect.demand, effect.lab)
                self._at(ready, ev.PlanReady(t=ready, placement=placement, cost=self._costs.plan))

    def _dispatch(self, effect: Dispatch) -> None:
        order, board = effect.order, self._boards[effect.board]
        leaves = self._now + self._costs.decide
        if isinstance(order, Infer):
            samples = effect.samples
            if board.channel is not None or order.transport is _LOSSY:
                self._accept(board, order, samples, leaves)
                return
            flying = board.take(order, samples, self._payload_bytes(order, samples), leaves)
            self._flying[order.id] = flying
            if board.residency.holds(order.model, flying.received):
                self._at(flying.answered, flying)
            else:
                self._fail(board, flying, flying.received)
        elif isinstance(order, Load):
            self._load(board, order, leaves)
        else:
            self._cancel(board, order, leaves)

    def _accept(self, board: ModelledBoard, order: Infer, samples: tuple[int, ...], leaves: Ns) -> None:
        """A lossy order, or one to a board that has others."""
        for one in board.accept(order, samples, self._payload_bytes(order, samples), leaves):
            if isinstance(one, Flying):
                self._flying[one.order.id] = one
                self._at(one.answered, one)
            else:
                self._at(one.t, one)

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
        if not self._take_back(board, flying, arrives - 1):
            return
        t = arrives + board.link.rtt - board.link.rtt // 2
        error = f"{flying.order.model!r} is not resident"
        self._at(t, ev.Failed(t=t, action=flying.order.id, error=error))

    def _cancel(self, board: ModelledBoard, order: Cancel, leaves: Ns) -> None:
        """Whole actions are taken back if they have not started; single items of a batch run on."""
        flying = self._flying.get(order.action)
        if flying is None or order.requests is not None:
            return
        arrives = board.reached(leaves)
        if not self._take_back(board, flying, arrives):
            return
        t = arrives + board.link.rtt // 2
        self._at(t, ev.Cancelled(t=t, action=order.action, stage="before_start"))

    def _take_back(self, board: ModelledBoard, flying: Flying, arrives: Ns) -> bool:
        """Whether an order had not started yet and is forgotten now; those behind it move up.

        When it had left is told now that somebody may ask.
        """
        behind = board.cancel(flying, arrives)
        if behind is None:
            return False
        order = flying.order
        del self._flying[order.id]
        self._core.handle(ev.Sent(t=flying.left, action=order.id))
        for moved in behind:
            self._flying[moved.order.id] = moved
            self._at(moved.answered, moved)
        return True
