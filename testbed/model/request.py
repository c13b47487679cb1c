"""A modeless request: a task and what it needs, never a model."""

from __future__ import annotations

import enum

from msgspec import Struct

from testbed.model.ids import HOST, RequestId, SiteId, TaskId
from testbed.units import Ns


class Request(Struct, frozen=True, gc=False, kw_only=True):
    """One inference asked for.

    Attributes:
        id: unique within a trial.
        task: what is asked, e.g. ``image-classification/fashion-mnist``.
        sample: index into the task's inputs; the payload itself stays where it is.
        source: where the payload starts: the host, or the board whose sensor made it.
        group: tenant, application, or the job of many inputs it is a part of.
        arrival: intended arrival on the coordinator's clock; latency counts from here.
        deadline: absolute instant by which the answer is wanted, or ``None``.
        min_accuracy: long-run accuracy asked for, a fraction, or ``None``.
        max_energy_j: energy bound, J, or ``None``.
        allow_degraded: an answer below ``min_accuracy`` is better than none.
    """

    id: RequestId
    task: TaskId
    sample: int
    arrival: Ns
    source: SiteId = HOST
    group: str | None = None
    deadline: Ns | None = None
    min_accuracy: float | None = None
    max_energy_j: float | None = None
    allow_degraded: bool = False


class Outcome(enum.Enum):
    """How a request ended; exactly one per request. Lateness is derived, not an outcome."""

    COMPLETED = "completed"
    DEGRADED = "degraded"
    """Answered, knowingly below the accuracy asked for; only where the request allows it."""
    REJECTED = "rejected"
    """The policy refused it, with a reason and the best on offer."""
    EXPIRED = "expired"
    """Its deadline passed before anything was sent for it."""
    FAILED = "failed"
    """Every attempt ended in an error."""
    ABORTED = "aborted"
    """The run was stopped while it was open."""
    UNFINISHED = "unfinished"
    """Never written: what a reader reports for a request the journal does not close (crash)."""
