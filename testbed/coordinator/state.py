"""The core's memory, and the read-only face of it that policies see.

The classes here satisfy the Protocols of ``testbed.model.view`` as they are: a policy is handed
the live objects typed as read-only, so that no event costs a copy.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.coordinator.demand import DemandMeter
from testbed.model.execution import Step
from testbed.model.ids import BoardId
from testbed.model.placement import BoardSnapshot, LabSnapshot, Placement
from testbed.model.placement import Core as ProcessingUnit
from testbed.model.request import Outcome, Request
from testbed.model.view import Health
from testbed.units import Ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.model.action import Answer, Infer, Load
    from testbed.model.ids import ActionId, ModelId, RequestId
    from testbed.model.placement import Demand
    from testbed.model.profile import ProfileBook

FINISHED_WINDOW = 64
"""So many that ended stay in view at least, beside all since the policy was last asked; at most twice as many. Few, so
that what they hold is let go of while it is still in the processor's caches."""
_NONE: frozenset[int] = frozenset()


class BoardSetup(Struct, frozen=True, kw_only=True):
    """What is known of a board before the first event."""

    id: BoardId
    kind: str
    site: str
    memory_bytes: int | None = None
    cores: tuple[ProcessingUnit, ...] = ()
    price_per_s: float | None = None


class Case:
    """An open request: implements ``CaseView``."""

    __slots__ = (
        "answer", "best_accuracy", "ended", "in_flight", "outcome", "predicted_accuracy", "predicted_finish", "reason",
        "request", "seen", "steps",
    )  # fmt: skip

    def __init__(self, request: Request, seen: Ns) -> None:
        """A request that was just seen."""
        self.request = request
        self.seen = seen
        self.steps: list[Step] = []
        self.in_flight: dict[ActionId, Infer] = {}
        self.outcome: Outcome | None = None
        self.answer: Answer | None = None
        self.ended: Ns = 0
        self.reason = ""
        self.best_accuracy: float | None = None
        self.predicted_finish: Ns | None = None
        self.predicted_accuracy: float | None = None


class Flight:
    """An order on its way; ``open_items`` are positions of the batch not settled yet."""

    __slots__ = ("cancel_ordered", "decided", "estimate", "open_items", "order", "sent")

    def __init__(self, order: Infer | Load, decided: Ns, estimate: Ns, items: int) -> None:
        """An order just handed to the shell."""
        self.order = order
        self.decided = decided
        self.estimate = estimate
        self.sent: Ns | None = None
        self.open_items = {0} if items == 1 else set(range(items))
        self.cancel_ordered: set[int] | frozenset[int] = _NONE


class BoardState:
    """One board: implements ``BoardView``."""

    def __init__(self, setup: BoardSetup, lab: LabState) -> None:
        """A board of a lab that has not come up yet."""
        self.id = setup.id
        self.kind = setup.kind
        self.site = setup.site
        self.memory_bytes = setup.memory_bytes
        self.cores: Sequence[ProcessingUnit] = setup.cores
        self.price_per_s = setup.price_per_s
        self.health = Health.DOWN
        self.boot = 0
        self.resident: dict[ModelId, int] = {}
        self.queued = 0
        self.temperature_c: float | None = None
        self.rtt: Ns = 0
        self.up_bytes_per_s = float("inf")
        self.down_bytes_per_s = float("inf")
        self.loading: dict[ModelId, ActionId] = {}
        self.loss_frac = 0.0
        self.version = 0
        self._lab = lab
        self._free_at: list[Ns] = [0]
        self._owed: list[Ns] = [0]

    @property
    def busy_until(self) -> Sequence[Ns]:
        """Per instance, when it should be free, from profiled medians; never before now."""
        now = self._lab.now
        if len(self._free_at) == 1:
            t = self._free_at[0]
            return (t if t > now else now,)
        return [max(now, t) for t in self._free_at]

    def grow(self, instances: int) -> None:
        """Make room for so many instances."""
        while len(self._free_at) < instances:
            self._free_at.append(0)
            self._owed.append(0)

    def changed(self) -> None:
        """Health, link or models did; policies are told."""
        self.version += 1
        self._lab.touched_boards[self.id] = None

    def took(self, instance: int, now: Ns, estimate: Ns, items: int) -> None:
        """An order was sent to an instance."""
        frees = self._free_at
        if instance >= len(frees):
            self.grow(instance + 1)
        free = frees[instance]
        frees[instance] = (free if free > now else now) + estimate
        self._owed[instance] += estimate
        self.queued += items
        self._lab.touched_boards[self.id] = None

    def told(self, items: int) -> None:
        """So many of the items sent there have settled."""
        self.queued -= items
        self._lab.touched_boards[self.id] = None

    def settled(self, instance: int, now: Ns, estimate: Ns, items: int) -> None:
        """An order taken with this estimate is over with its last items; re-estimate from what is outstanding."""
        owed = self._owed
        owed[instance] = left = owed[instance] - estimate
        self._free_at[instance] = now + left
        self.queued -= items
        self._lab.touched_boards[self.id] = None

    def snapshot(self) -> BoardSnapshot:
        """A copy for the slow path."""
        return BoardSnapshot(
            id=self.id,
            kind=self.kind,
            site=self.site,
            up=self.health is not Health.DOWN,
            memory_bytes=self.memory_bytes,
            resident=tuple(self.resident.items()),
            rtt=self.rtt,
            up_bytes_per_s=self.up_bytes_per_s,
            down_bytes_per_s=self.down_bytes_per_s,
            cores=tuple(self.cores),
            price_per_s=self.price_per_s,
        )


class Ended(Struct, frozen=True, gc=False):
    """A request that has ended: implements ``Closed``."""

    request: Request
    outcome: Outcome
    steps: tuple[Step, ...]
    answered: Ns


class LabState:
    """Everything a policy may read: implements ``View``."""

    def __init__(
        self,
        boards: Sequence[BoardSetup],
        profiles: ProfileBook,
        payload_bytes: Callable[[Request, str], int],
        first_action: ActionId = 1,
    ) -> None:
        """An empty lab; boards come up by events."""
        self.now: Ns = 0
        self.profiles = profiles
        self.placement = Placement()
        self.touched: list[RequestId] = []
        # In the order touched, so that what policies make of it is the same on every run; a set has no order.
        self.touched_boards: dict[BoardId, None] = {}
        self.open: dict[RequestId, Case] = {}
        # Outcome fixed, but a loser of a speculation is still under way: no business of the policy any more.
        self.settling: dict[RequestId, Case] = {}
        self.idle: dict[RequestId, Case] = {}
        self.states = {setup.id: BoardState(setup, self) for setup in boards}
        self.closed: deque[Ended] = deque()
        # The names under which policies know them: plain attributes, since they are read several times an event.
        self.cases: Mapping[RequestId, Case] = self.open
        self.waiting: Mapping[RequestId, Case] = self.idle
        self.boards: Mapping[BoardId, BoardState] = self.states
        self.finished: Sequence[Ended] = self.closed
        self.finished_count = 0
        self.meter = DemandMeter()
        self.new_id: Callable[[], ActionId] = itertools.count(first_action).__next__
        self._payload_bytes = payload_bytes

    @property
    def demand(self) -> Demand:
        """What is being asked lately."""
        return self.meter.read(self.now)

    def forget(self) -> None:
        """Of what ended keep the last ones."""
        for _ in range(len(self.closed) - FINISHED_WINDOW):
            self.closed.popleft()

    def payload_bytes(self, request: RequestId, codec: str = "raw") -> int:
        """Size on the link [bytes]."""
        case = self.open.get(request) or self.settling[request]
        return self._payload_bytes(case.request, codec)

    def snapshot(self) -> LabSnapshot:
        """A copy of the lab for the slow path."""
        return LabSnapshot(
            now=self.now, boards=tuple(b.snapshot() for b in self.states.values()), profiles=self.profiles
        )
