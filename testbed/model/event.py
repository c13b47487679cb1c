"""What happens to the core, in the order it happened; the event log of a trial replays into the same decisions."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from testbed.model.execution import Execution
from testbed.model.ids import ActionId, BoardId, ModelId, RequestId
from testbed.model.placement import Placement
from testbed.model.request import Request
from testbed.units import Ns


class Event(Struct, frozen=True, gc=False, kw_only=True):
    """Something happened at ``t`` on the coordinator's clock."""

    t: Ns


class Arrived(Event, frozen=True, gc=False, kw_only=True, tag="arrived"):
    """A request is here; its intended arrival is in the request, ``t`` is when it was seen."""

    request: Request


class Sent(Event, frozen=True, gc=False, kw_only=True, tag="sent"):
    """The first byte of an action is leaving the coordinator: from here on it is on the way."""

    action: ActionId


class Executed(Event, frozen=True, gc=False, kw_only=True, tag="executed"):
    """A board answered; ``sent`` is when the order had left, where no `Sent` told it before."""

    action: ActionId
    execution: Execution
    boot: int = 0
    sent: Ns | None = None


class Failed(Event, frozen=True, gc=False, kw_only=True, tag="failed"):
    """An action (infer or load) ended in an error: on the board, on the link, or by time-out.

    ``lost_frac`` of its input was lost on the way.
    """

    action: ActionId
    error: str
    traceback: str = ""
    lost_frac: float = 0.0


class Cancelled(Event, frozen=True, gc=False, kw_only=True, tag="cancelled"):
    """The fate of a cancel: ``stage`` is before_sent, before_start, during or too_late."""

    action: ActionId
    stage: str
    requests: tuple[RequestId, ...] | None = None


class Loaded(Event, frozen=True, gc=False, kw_only=True, tag="loaded"):
    """A model became resident; ``text`` is what the runtime says of it, e.g. the provider that runs it."""

    action: ActionId
    board: BoardId
    model: ModelId
    load: Ns
    memory_bytes: int = 0
    text: str = ""


class BoardUp(Event, frozen=True, gc=False, kw_only=True, tag="board_up"):
    """A board is connected and greeted; ``resident`` lists what it holds, ``instances`` copies of each.

    ``boot`` counts its connections; ``boot_id`` is another one after the board was started again.
    """

    board: BoardId
    boot: int
    resident: tuple[tuple[ModelId, int], ...] = ()
    boot_id: str = ""


class BoardDown(Event, frozen=True, gc=False, kw_only=True, tag="board_down"):
    """A board is gone; what was in flight there has failed. ``taken``: somebody else holds it now, for good."""

    board: BoardId
    error: str
    taken: bool = False


class NetworkSeen(Event, frozen=True, gc=False, kw_only=True, tag="network"):
    """A fresh estimate of the way to a board: smallest recent round trip [ns], up and down rate [bytes/s]."""

    board: BoardId
    rtt: Ns
    up_bytes_per_s: float
    down_bytes_per_s: float
    loss_frac: float = 0.0


class Tick(Event, frozen=True, gc=False, kw_only=True, tag="tick"):
    """A timer that was asked for."""


class PlanReady(Event, frozen=True, gc=False, kw_only=True, tag="plan_ready"):
    """The slow path answered; ``cost`` is how long it took."""

    placement: Placement
    cost: Ns


class Stop(Event, frozen=True, gc=False, kw_only=True, tag="stop"):
    """End the trial: what is open ends ABORTED."""

    reason: str


CoreEvent: TypeAlias = (
    Arrived
    | Sent
    | Executed
    | Failed
    | Cancelled
    | Loaded
    | BoardUp
    | BoardDown
    | NetworkSeen
    | Tick
    | PlanReady
    | Stop
)
