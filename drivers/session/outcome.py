"""Turns what the agent says of an execution into the project's own words."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import structs

from testbed.errors import BoardError
from testbed.model.action import Sample, Transport
from testbed.model.execution import NO_DATAGRAMS, NO_TABLE, Execution, ItemResult
from testbed.model.origin import Origin
from testbed.wire import Tensor
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.session.ledger import Flight
    from testbed.model.action import Infer
    from testbed.units import Ns

_NOTHING = ItemResult(label=-1, confidence=0.0)
_NUMBERS = (int, float)
_ORIGINS = {origin.value: origin for origin in Origin}
_FORMATS: dict[str, tuple[Literal["f", "d"], int]] = {"float32": ("f", 4), "float64": ("d", 8)}
_FEW_SCORES = 64  # up to here plain Python is faster than an array


def refusal_of(order: Infer, items: int, no_datagrams: str = NO_TABLE) -> str | None:
    """Why this driver cannot carry out an order, or ``None``: nothing is silently left out.

    Args:
        order: what is asked.
        items: inputs that came with it. no_datagrams: why the board takes no lossy orders; empty if it does.
    """
    batch = order.batch
    if order.layers is not None:
        asked = "layers"
    elif order.keep:
        asked = "keep"
    elif order.codec != "raw":
        asked = "codec"
    else:
        asked = ""
        for item in batch:
            if not isinstance(item.input, Sample):
                asked = "input"
                break
            if item.place is not None:
                asked = "place"
    if asked:
        return f"this driver does not carry `{asked}` yet"
    if order.transport is Transport.LOSSY:
        if no_datagrams:
            return f"{NO_DATAGRAMS}: {no_datagrams}"
        if len(batch) != 1:
            return f"a lossy order carries one picture, not {len(batch)}"
    if items != len(order.batch):
        return f"{len(order.batch)} items were ordered with {items} inputs"
    return None


def infer_message(flight: Flight) -> m.Infer:
    """The message for what still stands of a flight."""
    order, kept, payload, samples = flight.order, flight.kept, flight.payload, flight.samples
    if len(kept) != len(order.batch):
        payload = payload[list(kept)]
        samples = tuple(samples[p] for p in kept) if samples else ()
    return m.Infer(
        action=flight.number,
        model=order.model,
        instance=order.instance,
        thresholds=[order.batch[p].exit.min_confidence for p in kept],
        stop_after_ns=_stops([order.batch[p].exit.stop_after for p in kept]),
        samples=samples or (-1,) * len(kept),
        input=Tensor(_dtype_name(payload.dtype), payload.shape, payload.tobytes()),
    )


@functools.cache
def _dtype_name(dtype: np.dtype[Any]) -> str:
    """Numpy makes the name anew each time, from a chain of calls."""
    return str(dtype)


def _stops(limits: list[Ns | None]) -> list[int]:
    """For the wire: nothing at all where nobody has a limit; at once is after 1 ns, since 0 means never."""
    if limits.count(None) == len(limits):
        return []
    return [0 if limit is None else max(limit, 1) for limit in limits]


def execution_of(done: m.Done, flight: Flight, origin: Origin) -> Execution:
    """The execution, with one result per item ordered.

    Raises:
        BoardError: the agent's answer does not fit the question.
    """
    kept = flight.kept
    results = _results(done.exits, done.outputs[0] if done.outputs else None, len(kept))
    lost = done.report.get("lost_frac")
    if isinstance(lost, float) and lost:
        told = done.report.get("lost_rows")
        rows = tuple(row for row in told if isinstance(row, int)) if isinstance(told, list) else ()
        results = [structs.replace(result, lost_frac=lost, lost_rows=rows) for result in results]
    if len(kept) != len(flight.order.batch):
        by_position = dict(zip(kept, results, strict=True))
        results = [by_position.get(p, _NOTHING) for p in range(len(flight.order.batch))]
    asked = done.report.get("asked_ns")
    said = done.report.get("origin")
    return Execution(
        received=done.received,
        started=done.started,
        finished=done.finished,
        items=tuple(results),
        asked_service=asked if isinstance(asked, int) else None,
        origin=(_ORIGINS.get(said) or Origin(said)) if isinstance(said, str) else origin,
        notes={k: float(v) for k, v in done.report.items() if isinstance(v, _NUMBERS) and k != "asked_ns"},
    )


def _results(exits: Sequence[int], output: Tensor | None, items: int) -> list[ItemResult]:
    if len(exits) != items:
        raise BoardError(f"the agent answered {len(exits)} items where {items} were asked")
    if output is None:
        return [ItemResult(label=-1, confidence=0.0, exit=exit_) for exit_ in exits]
    if len(output.shape) < 1 or output.shape[0] != items:
        raise BoardError(f"the agent answered an output of shape {output.shape} for {items} items")
    if items == 1 and exits[0] != m.CANCELLED_EXIT and (scores := _few_scores(output)):
        best = max(scores)
        return [ItemResult(label=scores.index(best), confidence=best, exit=exits[0], scores=scores)]
    rows = np.frombuffer(output.data, output.dtype).reshape(items, -1)
    if not rows.shape[1]:
        return [_NOTHING] * items
    results = []
    for exit_, label, row in zip(exits, rows.argmax(axis=1).tolist(), rows.tolist(), strict=True):
        if exit_ == m.CANCELLED_EXIT:
            results.append(_NOTHING)
        else:
            scores = tuple(map(float, row))
            results.append(ItemResult(label=label, confidence=scores[label], exit=exit_, scores=scores))
    return results


def _few_scores(output: Tensor) -> tuple[float, ...]:
    """The probabilities of one item where they are few numbers; nothing otherwise, or where one is none (NaN)."""
    known = _FORMATS.get(output.dtype)
    if known is None or len(output.data) > _FEW_SCORES * known[1]:
        return ()
    scores = tuple(memoryview(output.data).cast(known[0]).tolist())
    return () if math.isnan(sum(scores)) else scores
