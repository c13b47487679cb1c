"""What requests ask for: a seeded mix of tasks, accuracy targets and deadlines over the inputs by index."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from testbed.model.ids import TaskId
from testbed.model.request import Request
from testbed.units import from_ms
from testbed.workload.arrivals import Arrivals, draw_arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Need(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of request in the mix.

    Attributes:
        task: what is asked; ``None`` takes the workload's.
        min_accuracy: long-run accuracy asked for, a fraction, or ``None``.
        deadline_ms: from arrival; ``None`` takes the workload's.
        weight: relative frequency.
        allow_degraded: ``None`` takes the workload's.
    """

    task: TaskId | None = None
    min_accuracy: float | None = None
    deadline_ms: float | None = None
    weight: float = 1.0
    group: str | None = None
    allow_degraded: bool | None = None


class Workload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An open-loop stream of requests.

    Attributes:
        requests: how many. needs: the mix; each request draws one by weight.
        deadline_ms: where the need names none; ``None`` for no deadline.
    """

    requests: int
    arrivals: Arrivals
    needs: tuple[Need, ...] = (Need(),)
    deadline_ms: float | None = None
    allow_degraded: bool = False


def draw_requests(
    workload: Workload, task: TaskId, samples: Mapping[TaskId, int], seed: int
) -> list[Request]:
    """All requests of a trial, arrivals and deadlines relative to its start [ns].

    Inputs of a task are a fresh permutation of its indexes for every pass over them, so no input comes twice
    before all have come once.

    Args:
        task: of needs that name none. samples: number of inputs of every task.

    Raises:
        ValueError: no requests, no inputs, or weights that do not add up to something positive.
    """
    weights = np.array([need.weight for need in workload.needs], dtype=np.float64)
    tasks = [need.task or task for need in workload.needs]
    if workload.requests < 1 or any(samples.get(name, 0) < 1 for name in tasks):
        raise ValueError("a workload needs at least one request, and one input of every task")
    if (weights < 0).any() or weights.sum() <= 0:
        raise ValueError("weights must not be negative, and at least one must be positive")
    # One stream per aspect, so that changing the mix leaves arrivals and inputs as they were.
    when, which, what = np.random.SeedSequence(seed).spawn(3)
    arrivals = draw_arrivals(workload.arrivals, workload.requests, np.random.default_rng(when))
    order = sorted(set(tasks))
    inputs = {
        name: _passes(samples[name], np.random.default_rng(stream))
        for name, stream in zip(order, which.spawn(len(order)), strict=True)
    }
    picks = np.random.default_rng(what).choice(
        len(weights), size=workload.requests, p=weights / weights.sum()
    )
    requests = []
    for index in range(workload.requests):
        need = workload.needs[picks[index]]
        arrival = int(arrivals[index])
        deadline_ms = workload.deadline_ms if need.deadline_ms is None else need.deadline_ms
        requests.append(
            Request(
                id=index,
                task=tasks[picks[index]],
                sample=next(inputs[tasks[picks[index]]]),
                group=need.group,
                arrival=arrival,
                deadline=None if deadline_ms is None else arrival + from_ms(deadline_ms),
                min_accuracy=need.min_accuracy,
                allow_degraded=workload.allow_degraded
                if need.allow_degraded is None
                else need.allow_degraded,
            )
        )
    return requests


def _passes(samples: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(samples).tolist()


def fingerprint(requests: list[Request]) -> str:
    """SHA-256 of a request list; two trials are paired only if theirs agree."""
    return hashlib.sha256(msgspec.json.encode(requests)).hexdigest()
