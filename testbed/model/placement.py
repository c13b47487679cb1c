"""The slow path's input and output."""

from __future__ import annotations

from msgspec import Struct

from testbed.model.ids import BoardId, ModelId, TaskId
from testbed.model.profile import ProfileBook
from testbed.units import Ns


class Hosted(Struct, frozen=True, kw_only=True):
    """A model to hold on a board: copies of it, and the largest batch to form."""

    board: BoardId
    model: ModelId
    instances: int = 1
    max_batch: int = 1


class Route(Struct, frozen=True, kw_only=True):
    """Where a share of a task's (or group's) requests goes.

    The stages of a split network are routes in chain order.

    Attributes:
        share: fraction of the task's demand, or of a divisible job.
        layers: part range that runs there, for split networks.
        wait: how long to hold a request for a fuller batch [ns].
    """

    task: TaskId
    board: BoardId
    model: ModelId
    share: float = 1.0
    group: str | None = None
    exit: int | None = None
    layers: tuple[int, int] | None = None
    wait: Ns = 0


class Placement(Struct, frozen=True, kw_only=True):
    """What ``plan`` decided; ``decide`` reads it and orders the loads.

    Attributes:
        settings: named numbers of the policy's own (thresholds, canvas counts).
    """

    hosted: tuple[Hosted, ...] = ()
    routes: tuple[Route, ...] = ()
    settings: dict[str, float] = {}


class Demand(Struct, frozen=True, kw_only=True):
    """How much is asked of each task: requests per second over ``window``, and an exponential average.

    Attributes:
        slack, group_slack: the shortest time from arrival to deadline seen in the window [ns], per task and
            per group; absent where nobody set a deadline.
        group_task: what each group asks for.
    """

    window: Ns
    rate_hz: dict[TaskId, float] = {}
    ewma_hz: dict[TaskId, float] = {}
    group_hz: dict[str, float] = {}
    slack: dict[TaskId, Ns] = {}
    group_slack: dict[str, Ns] = {}
    group_task: dict[str, TaskId] = {}


class Core(Struct, frozen=True, kw_only=True):
    """A processing unit inside a board, for policies that split work within it."""

    name: str
    relative_speed: float


class BoardSnapshot(Struct, frozen=True, kw_only=True):
    """A board as the slow path sees it."""

    id: BoardId
    kind: str
    site: str
    up: bool
    memory_bytes: int | None = None
    resident: tuple[tuple[ModelId, int], ...] = ()
    rtt: Ns = 0
    up_bytes_per_s: float = 0.0
    down_bytes_per_s: float = 0.0
    cores: tuple[Core, ...] = ()
    price_per_s: float | None = None


class LabSnapshot(Struct, frozen=True, kw_only=True):
    """The lab at one instant, self-contained so that it can travel to another process."""

    now: Ns
    boards: tuple[BoardSnapshot, ...]
    profiles: ProfileBook
