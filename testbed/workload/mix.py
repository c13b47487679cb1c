"""What requests ask for: a seeded mix of tasks, accuracy targets and deadlines over the inputs by index."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from testbed.model.ids import TaskId
from testbed.model.ranges import NotNegative, Positive
from testbed.model.request import Request
from testbed.units import Ns, from_ms
from testbed.workload.arrivals import Arrivals, arrival_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    _Kind = tuple[TaskId, Iterator[int], str | None, Ns | None, float | None, bool]

MOST_REQUESTS = 1_000_000_000
"""Of a trial; half a day in virtual time."""
AT_ONCE = 64
"""Requests made together, since that costs less than one between two others' decisions."""


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
    deadline_ms: Positive | None = None
    weight: NotNegative = 1.0
    group: str | None = None
    allow_degraded: bool | None = None


class Workload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An open-loop stream of requests.

    Attributes:
        requests: how many. needs: the mix; each request draws one by weight.
        deadline_ms: where the need names none; ``None`` for no deadline.
    """

    requests: Annotated[int, Meta(ge=1, le=MOST_REQUESTS)]
    arrivals: Arrivals
    needs: tuple[Need, ...] = (Need(),)
    deadline_ms: Positive | None = None
    allow_degraded: bool = False


def draw_requests(
    workload: Workload, task: TaskId, samples: Mapping[TaskId, int], seed: int
) -> list[Request]:
    """All requests of a trial, arrivals and deadlines relative to its start [ns]; see `stream_requests`."""
    return list(stream_requests(workload, task, samples, seed))


def stream_requests(
    workload: Workload, task: TaskId, samples: Mapping[TaskId, int], seed: int, *, start: Ns = 0
) -> Iterator[Request]:
    """The requests of a trial one after the other, in memory that does not grow with their number.

    Inputs of a task are a fresh permutation of its indexes for every pass over them, so no input comes twice
    before all have come once.

    Args:
        task: of needs that name none. samples: number of inputs of every task.
        start: of the trial; arrivals and deadlines are shifted by it [ns].

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
    order = sorted(set(tasks))
    inputs = {
        name: _passes(samples[name], np.random.default_rng(stream))
        for name, stream in zip(order, which.spawn(len(order)), strict=True)
    }
    return _stream(workload, tasks, inputs, weights / weights.sum(), (when, what), start)


def _stream(
    workload: Workload,
    tasks: Sequence[TaskId],
    inputs: Mapping[TaskId, Iterator[int]],
    weights: NDArray[np.float64],
    seeds: tuple[np.random.SeedSequence, np.random.SeedSequence],
    start: Ns,
) -> Iterator[Request]:
    kinds = []
    for name, need in zip(tasks, workload.needs, strict=True):
        deadline_ms = workload.deadline_ms if need.deadline_ms is None else need.deadline_ms
        degraded = workload.allow_degraded if need.allow_degraded is None else need.allow_degraded
        slack = None if deadline_ms is None else from_ms(deadline_ms)
        kinds.append((name, inputs[name], need.group, slack, need.min_accuracy, degraded))
    what = np.random.default_rng(seeds[1])
    first = 0
    for arrivals in arrival_blocks(workload.arrivals, workload.requests, np.random.default_rng(seeds[0])):
        picks = what.choice(len(weights), size=len(arrivals), p=weights)
        whens, which = (arrivals + start).tolist(), picks.tolist()
        for begin in range(0, len(whens), AT_ONCE):
            end = begin + AT_ONCE
            yield from _requests(first + begin, whens[begin:end], [kinds[pick] for pick in which[begin:end]])
        first += len(whens)


def _requests(first: int, arrivals: Sequence[Ns], kinds: Sequence[_Kind]) -> list[Request]:
    found = []
    for index, (arrival, kind) in enumerate(zip(arrivals, kinds, strict=True), first):
        task, samples, group, slack, min_accuracy, degraded = kind
        found.append(
            Request(
                id=index,
                task=task,
                sample=next(samples),
                group=group,
                arrival=arrival,
                deadline=None if slack is None else arrival + slack,
                min_accuracy=min_accuracy,
                allow_degraded=degraded,
            )
        )
    return found


def _passes(samples: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(samples).tolist()


def fingerprint(requests: Iterable[Request]) -> str:
    """SHA-256 of the requests as one JSON list; two trials are paired only if theirs agree."""
    digest, encoder, between = hashlib.sha256(b"["), msgspec.json.Encoder(), b""
    for request in requests:
        digest.update(between + encoder.encode(request))
        between = b","
    digest.update(b"]")
    return digest.hexdigest()
