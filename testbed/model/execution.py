"""What a board tells of one execution, and what a policy sees of it."""

from __future__ import annotations

from msgspec import Struct

from testbed.model.ids import ActionId, BoardId, ModelId, StepId
from testbed.model.origin import Origin
from testbed.units import Ns

WINDOW_MISSED = "window missed"
"""Error of an action that could not start by its ``latest``."""
NO_DATAGRAMS = "no datagram channel"
"""How the error of a lossy order begins that its board cannot take."""
CANCEL_STAGES = ("before_sent", "before_start", "during", "too_late")
"""How far an order can be when a cancel finds it."""
NO_TABLE = "its table in the lab file has no `lossy`"
"""Why not, mostly."""


class ItemResult(Struct, frozen=True, gc=False, kw_only=True):
    """One item of an executed batch.

    Attributes:
        label: class index, or ``-1`` where the model gives none (an encoder).
        confidence: max softmax at the exit taken.
        exit: index of the exit taken.
        scores: probabilities of shape (classes,), or ``None``.
        lost_frac: fraction of the input that was lost on the way. lost_rows: the mask of a picture at the model's own
            size: its rows of which nothing arrived, from 0 at the top.
        boxes: regions found, (left, top, right, bottom) in pixels, by a region proposer or detector.
        kept_bytes: size of what was left on the board for this item, ``None`` if nothing was or nobody said.
    """

    label: int
    confidence: float
    exit: int = 0
    scores: tuple[float, ...] | None = None
    lost_frac: float = 0.0
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    kept_bytes: int | None = None
    lost_rows: tuple[int, ...] = ()


class Execution(Struct, frozen=True, gc=False, kw_only=True):
    """One execution of one action, stamped by the board.

    Attributes:
        received, started, finished: the board's own monotonic clock [ns], or the coordinator's in virtual time.
        items: results in batch order, one per item ordered; those of a partial cancel mean nothing.
        asked_service: service time a virtual board was asked to take [ns]; ``None`` on real boards.
        origin: of the service time.
        notes: what else the runtime reports, numbers only.
    """

    received: Ns
    started: Ns
    finished: Ns
    items: tuple[ItemResult, ...]
    asked_service: Ns | None = None
    origin: Origin = Origin.MEASURED
    notes: dict[str, float] = {}


class Step(Struct, frozen=True, gc=False):
    """What one execution told about one request; failed attempts are steps too.

    Attributes:
        id: action and position in its batch.
        decided: when the policy ordered it; coordinator's clock, like ``sent`` and ``answered``.
        sent: when the first byte left the coordinator, ``None`` if it never did.
        answered: when the result (or the failure) reached the coordinator.
        received, started, finished: board's own clock, as in `Execution`; ``None`` for a failed attempt.
        boot: counts the board's connections: stamps are comparable only within one.
        batch: how many items were executed together.
        label, confidence, exit, scores, lost_frac, boxes, kept_bytes, lost_rows: as in `ItemResult`.
        error: why the attempt failed, or ``None``.
        cancelled: stage at which a cancel caught it (`CANCEL_STAGES`), or ``None``.
    """

    id: StepId
    board: BoardId
    model: ModelId
    decided: Ns
    answered: Ns
    sent: Ns | None = None
    received: Ns | None = None
    started: Ns | None = None
    finished: Ns | None = None
    boot: int = 0
    batch: int = 1
    exit: int = 0
    label: int = -1
    confidence: float = 0.0
    scores: tuple[float, ...] | None = None
    lost_frac: float = 0.0
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    kept_bytes: int | None = None
    lost_rows: tuple[int, ...] = ()
    energy_j: float | None = None
    asked_service: Ns | None = None
    origin: Origin = Origin.MEASURED
    error: str | None = None
    cancelled: str | None = None

    @property
    def ok(self) -> bool:
        """The attempt gave an answer."""
        return self.error is None and self.cancelled is None

    @property
    def action(self) -> ActionId:
        """The action that made this step."""
        return self.id[0]
