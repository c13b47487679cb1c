"""How late a meter's stamps are, from a load pattern that was played on its board.

The board executes on and off in a pseudo-random order of slots, and tells when on its own clock, which is known. For
each offset the samples are held against the time spent executing in the window that they would then stand for; where
they fit best is the offset. Its uncertainty has two independent parts: half of the stretch in which the sum of squares
grows by no more than one residual variance, and what a meter that looks away between its windows leaves open: an edge
may lie anywhere in such a pause of length u, which makes u/sqrt(12) (GUM 4.3.7), however many edges there are, as they
may all meet the meter in the same phase.

Source: profile likelihood of one parameter under normal residuals, e.g. Bates & Watts, Nonlinear Regression Analysis
(1988), 6.1; maximal-length shift-register sequences, whose autocorrelation has a single peak, Golomb, Shift Register
Sequences (1967).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.measure.shares import busy_upto
from testbed.units import Ns, S, to_ms, to_s

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from testbed.model.energy import PowerTrace
    from testbed.model.record import Alignment

REACH: Ns = 2 * S
"""Offsets up to this are looked for; a slot must not repeat within it, which a maximal-length sequence does not."""
LEAST_CORRELATION = 0.5
RIVAL_FRAC = 0.9
FEWEST_SAMPLES = 12
FINE = 40
_TAPS = (1, 4)


class Offset(Struct, frozen=True, kw_only=True):
    """What the stamps are late by [ns] and its standard uncertainty; ``None`` with a reason."""

    offset: Ns | None
    error: Ns = 0
    correlation: float = 0.0
    reason: str = ""


def slots() -> tuple[bool, ...]:
    """On and off for 15 slots: the maximal-length sequence of a four-stage shift register, from its longest run on."""
    state, found = [True] * 4, []
    for _ in range(15):
        found.append(state[-1])
        state = [state[_TAPS[0] - 1] ^ state[_TAPS[1] - 1], *state[:-1]]
    return tuple(found)


def find_offset(trace: PowerTrace, executions: NDArray[np.int64], *, reach: Ns = REACH) -> Offset:
    """What a trace's stamps are late by.

    Args:
        trace: on the clock whose offset is asked for, from before the pattern to after it.
        executions: start and finish of each, int64 (m, 2), coordinator's clock.
        reach: largest offset either way.
    """
    if len(executions) < 2:
        return Offset(offset=None, reason="no pattern was played")
    first, last = int(executions[:, 0].min()), int(executions[:, 1].max())
    spacing = int(np.median(np.diff(trace.t))) if trace.t.size > 1 else 0
    margin = reach + max(trace.traits.window_ns, spacing)
    near = (trace.t > first - margin) & (trace.t < last + margin)
    t, power = trace.t[near], trace.power_w[near]
    if t.size < FEWEST_SAMPLES:
        return Offset(
            offset=None, reason=f"{t.size} samples saw the pattern, at least {FEWEST_SAMPLES} needed"
        )
    counter = trace.traits.quantity == "counter"
    own = spacing if counter else trace.traits.window_ns
    period = max(spacing, trace.traits.period_ns)
    # A meter that looks away is held against the whole period around its window: which part it saw is not told.
    window = max(own, period)
    t = t + (window - own) // 2
    coarse = np.arange(-reach, reach + 1, max(period // 4, 1_000_000), dtype=np.int64)
    fit = _correlations(t, power, executions, window, coarse)
    best = int(fit.argmax())
    if fit[best] < LEAST_CORRELATION:
        reason = f"the pattern is not to be seen in its samples (correlation {max(fit[best], 0.0):.2f})"
        return Offset(offset=None, correlation=float(fit[best]), reason=reason)
    # The peak of a maximal-length sequence is as wide as one of its slots, which is its shortest run.
    apart = np.abs(coarse - coarse[best]) > _slot(executions) + period
    if bool((fit[apart] > RIVAL_FRAC * fit[best]).any()):
        return Offset(
            offset=None, correlation=float(fit[best]), reason="the pattern fits at more than one offset"
        )
    if best in {0, coarse.size - 1}:
        reason = f"its stamps are off by {to_s(reach):g} s or more"
        return Offset(offset=None, correlation=float(fit[best]), reason=reason)
    step = max(int(coarse[1] - coarse[0]) // FINE, 1)
    fine = np.arange(coarse[best] - 4 * FINE * step, coarse[best] + 4 * FINE * step + 1, step, dtype=np.int64)
    fit = _correlations(t, power, executions, window, fine)
    squares = 1 - np.clip(fit, 0.0, 1.0) ** 2
    least = float(squares.min())
    good = np.flatnonzero(squares <= least + least / max(t.size - 3, 1) + 1e-9)
    low, high = int(fine[good[0]]), int(fine[good[-1]])
    unseen = max(period - own, 0) / math.sqrt(12)
    return Offset(
        offset=(low + high) // 2,
        error=math.ceil(math.hypot(max((high - low) // 2, step), unseen)),
        correlation=float(fit.max()),
    )


def offsets_at(aligned: Iterable[Alignment], t: NDArray[np.int64]) -> tuple[NDArray[np.int64], Ns] | None:
    """What stamps are late by, a line through the patterns before and after the load, and its bound of twice the error.

    Returns:
        int64 of the shape of ``t`` and the bound [ns]; ``None`` where no pattern gave an offset.
    """
    known = sorted((a for a in aligned if a.offset is not None), key=lambda a: a.at)
    if not known:
        return None
    places = np.asarray([a.at for a in known], dtype=np.int64)
    since = (places - places[0]).astype(np.float64)
    values = np.asarray([float(a.offset or 0) for a in known])
    late = np.interp((t - places[0]).astype(np.float64), since, values)
    return np.rint(late).astype(np.int64), 2 * max(a.error for a in known)


def tell(found: Offset) -> str:
    """One sentence for people."""
    if found.offset is None:
        return f"not aligned: {found.reason}"
    return f"stamps late by {to_ms(found.offset):.2f} ms ± {to_ms(found.error):.2f} ms"


def _slot(executions: NDArray[np.int64]) -> int:
    """Length of the shortest run of executions [ns]; a pause of a quarter of the longest pause ends one."""
    order = executions[np.argsort(executions[:, 0])]
    pauses = order[1:, 0] - order[:-1, 1]
    cuts = np.flatnonzero(pauses > int(pauses.max()) // 4)
    begins = np.concatenate(([0], cuts + 1))
    ends = np.concatenate((cuts, [len(order) - 1]))
    return int((order[ends, 1] - order[begins, 0]).min())


def _correlations(
    t: NDArray[np.int64],
    power: NDArray[np.float64],
    executions: NDArray[np.int64],
    window: Ns,
    offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Of the samples with what was executed in their windows, at each offset; 0 where nothing varies."""
    above = power - power.mean()
    size = float(np.sqrt((above**2).sum()))
    found = np.zeros(offsets.size)
    for place, offset in enumerate(offsets):
        end = t - int(offset)
        busy = busy_upto(end, executions) - busy_upto(end - window, executions)
        busy -= busy.mean()
        length = float(np.sqrt((busy**2).sum()))
        found[place] = float(above @ busy) / (size * length) if size > 0 and length > 0 else 0.0
    return found
