"""How wrong an energy may be, cause by cause, from what is known of the meter and from the samples themselves.

With D the interval's length, T the time between samples that can differ, w the time that one averages, p the power:

``steps``     A reading is off by at most half a step q: q/sqrt(12) (GUM F.2.2.1). Readings on one level share that
              error, so it does not average out however many they are; those on different levels are independent.
              With D_l the time spent on level l: q/sqrt(12) sqrt(sum D_l^2), which is q D/sqrt(12) on a constant load.
              A counter has a step at either end only: q/sqrt(6).
``sampling``  Type A (GUM 4.2): what the power does between samples is judged by what it does from one to the next.
              The variogram g(h), half the mean square difference of samples h apart, is taken as c0 + c h: c0 is what
              changes faster than the meter looks, c what wanders slower. The error variance of a trapezoid sum is then
              c0 sum a_k^2, a_k the weight of each sample, for the first and c T/6 sum T_k^2 for the second: one change
              somewhere within T_k moves the trapezoid by up to half of T_k times the change either way, which is worth
              its third (GUM 4.3.7), and the mean square of the changes is 2 c T. Of what happens within a window
              nothing is missed, which leaves 1 - w/T of c0; a meter without pauses misses nothing.
              In a gap c T is at most the variance of the samples.
``edges``     Where between two samples the power changes at an edge is unknown: half of T times the swing there,
              either way, as a rectangle (GUM 4.3.7), for each edge. If work begins and ends exactly with the interval,
              both are errors the same way, 0.39 T swing (root mean square) against 0.41 here. With overlapping windows
              two more, for what `testbed.measure.integral` does not undo: w/16 times the swing within w/2 of w before
              and after the edge for a lone change there; and for what always fluctuates, with a flat spectrum S, the
              kernel that smears an edge has the square integral w/12, of which half at either side of it leave S w/24.
              Means over w scatter by S/w, so this is w sqrt(g(w)/24) with their variogram.
``time``      Stamps off by d trade what lies outside an edge for what lies inside: d times the swing, as a rectangle,
              for the clock's bound and the delay's. A counter read late misses the power itself: d p for each edge.

The swing of an edge is the difference of the largest and the smallest sample within 1.5 T + w/2 + d of it.

Source: JCGM 100:2008 (GUM), clauses as cited; Journel & Huijbregts, Mining Geostatistics (1978), II.E and V, for the
variance of a regular sample under a linear variogram with nugget effect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.units import Ns, to_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from testbed.measure.integral import Integral
    from testbed.model.energy import PowerTrace

MIN_SAMPLES = 3
"""Fewer carry no figure."""
ROOT3 = math.sqrt(3)
FEW = 8
"""Fewer samples than this tell nothing of how the power wanders: all of its changes count as fast ones."""
WHOLE = 20
"""Levels are counted out as long as there are not more than so many times the samples."""


class Quiet(Struct, frozen=True, kw_only=True):
    """Mean power of an interval without load [W], and what steps and sampling leave open of it [W]."""

    power_w: float
    steps_w: float
    sampling_w: float


def quiet(trace: PowerTrace, integral: Integral, start: Ns, end: Ns) -> Quiet | None:
    """Power in an interval from those samples alone whose whole window lies in it; ``None`` for fewer than three."""
    margin = integral.window // 2 + trace.bound + trace.traits.delay_bound_ns
    if integral.counting:
        start, margin = start + integral.spacing, margin - integral.window // 2
    left, right = np.searchsorted(integral.middles, [start + margin, end - margin + 1])
    if right - left < MIN_SAMPLES:
        return None
    power, middles = trace.power_w[left:right], integral.middles[left:right]
    first, last = int(middles[0]), int(middles[-1])
    shares = _shares(middles, first, last)
    length = to_s(last - first)
    steps = _steps(power, middles, first, last, trace.step_w)
    if integral.counting:
        steps = trace.step_j / math.sqrt(6)
    return Quiet(
        power_w=float(np.average(power, weights=shares)),
        steps_w=steps / length,
        sampling_w=_sampling(power, middles, integral) / length,
    )


def budget(trace: PowerTrace, integral: Integral, start: Ns, end: Ns) -> dict[str, float]:
    """Standard uncertainties of the energy in an interval, by cause [J]; without gain, offset and idle.

    Args:
        start, end: on the coordinator's clock, with at least one sample in between.
    """
    left, right = np.searchsorted(integral.middles, [start, end])
    inside = slice(int(left), max(int(right), int(left) + 1))
    power, middles = trace.power_w[inside], integral.middles[inside]
    # Samples that saw something of what lies outside tell of the edges, not of what goes on between them.
    margin = integral.window // 2 + trace.bound + trace.traits.delay_bound_ns
    own = slice(*np.searchsorted(middles, [start + margin, end - margin + 1]))
    if middles[own].size < FEW:
        own = slice(None)
    swings = [_swing(trace, integral, edge) for edge in (start, end)]
    edges = [to_s(integral.period) / 2 * swing / ROOT3 for swing in swings]
    if integral.wide:
        edges += _smeared(trace, integral, (start, end), power[own])
    if integral.counting:
        steps = trace.step_j / math.sqrt(6)
        late = to_s(trace.traits.delay_bound_ns + trace.bound)
        time = [late / ROOT3 * float(_blocks(integral, edge, 1).max()) for edge in (start, end)]
    else:
        steps = _steps(power, middles, start, end, trace.step_w)
        time = [to_s(d) / ROOT3 * max(swings) for d in (trace.bound, trace.traits.delay_bound_ns)]
    return {
        "steps": steps,
        "sampling": _sampling(power[own], middles[own], integral),
        "edges": math.hypot(*edges),
        "time": math.hypot(*time),
    }


def _smeared(
    trace: PowerTrace, integral: Integral, edges: tuple[Ns, Ns], power: NDArray[np.float64]
) -> list[float]:
    """What is left of the smearing of edges by overlapping windows [J]."""
    w = to_s(integral.window)
    apart = max(1, round(integral.window / integral.spacing))
    scatter = float(((power[apart:] - power[:-apart]) ** 2).mean()) / 2 if power.size > apart else 0.0
    reach = integral.window // 2 + integral.period
    around = [
        w / 16 / ROOT3 * _range(trace, integral, edge + way, reach)
        for edge in edges
        for way in (-integral.window, integral.window)
    ]
    return [*around, w * math.sqrt(len(edges) * scatter / 24)]


def _swing(trace: PowerTrace, integral: Integral, edge: Ns) -> float:
    """Largest less smallest sample around an edge [W]."""
    if integral.counting:
        return float(np.ptp(_blocks(integral, edge, 2)))
    bound = trace.bound + trace.traits.delay_bound_ns
    return _range(trace, integral, edge, integral.period * 3 // 2 + integral.window // 2 + bound)


def _range(trace: PowerTrace, integral: Integral, at: Ns, reach: Ns) -> float:
    first, last = np.searchsorted(integral.middles, [at - reach, at + reach])
    around = trace.power_w[max(0, min(int(first), trace.t.size - 1)) : max(int(last), 1)]
    return float(np.ptp(around)) if around.size else 0.0


def _blocks(integral: Integral, edge: Ns, count: int) -> NDArray[np.float64]:
    """Mean power of each of ``count`` periods before and after an edge [W]: a counter tells nothing finer."""
    cuts = edge + integral.period * np.arange(-count, count + 1, dtype=np.int64)
    found: NDArray[np.float64] = np.diff(integral.at(cuts)) / to_s(integral.period)
    return found


def _shares(middles: NDArray[np.int64], start: Ns, end: Ns) -> NDArray[np.float64]:
    """How much of the interval each sample stands for [s]: to half way to its neighbours, or to the edge."""
    cuts = np.concatenate(([start], (middles[1:] + middles[:-1]) // 2, [end]))
    shares: NDArray[np.float64] = np.diff(cuts).astype(np.float64) / 1e9
    return shares


def _steps(
    power: NDArray[np.float64], middles: NDArray[np.int64], start: Ns, end: Ns, step_w: float | None
) -> float:
    """Quantisation; without a stated step, the smallest difference seen, which is a lower limit of it."""
    if step_w is None:
        gaps = np.diff(np.unique(power))
        step_w = float(gaps.min()) if gaps.size else 0.0
    if step_w <= 0.0:
        return 0.0
    # Values of a sum that differ by less than a step are on one level.
    which = np.rint((power - power.min()) / step_w).astype(np.int64)
    if int(which.max()) > WHOLE * power.size:  # so fine that hardly two samples share a level
        which = np.unique(which, return_inverse=True)[1]
    on_level = np.bincount(which, weights=_shares(middles, start, end))
    return step_w / math.sqrt(12) * float(np.sqrt((on_level**2).sum()))


def _sampling(power: NDArray[np.float64], middles: NDArray[np.int64], integral: Integral) -> float:
    """What happened between the samples."""
    if integral.counting or power.size < 2 or integral.period == 0:
        return 0.0
    stride = max(1, round(integral.period / integral.spacing)) if integral.spacing else 1
    power, middles = power[::stride], middles[::stride]
    if power.size < 2:
        return 0.0
    unseen = max(0.0, 1.0 - integral.window / integral.period)
    lengths = np.diff(middles).astype(np.float64) / 1e9
    gaps = lengths > 1.5 * to_s(integral.period)
    one = float((np.diff(power) ** 2).mean()) / 2
    two = float(((power[2:] - power[:-2]) ** 2).mean()) / 2 if power.size > 2 else one
    fast = min(max(2 * one - two, 0.0), one) if power.size >= FEW else one
    slow = (one - fast) / to_s(integral.period)
    spread = float(power.var())
    wandering = np.minimum(slow * lengths, spread) / 6 * lengths**2
    weights = np.zeros(power.size)
    weights[:-1] += lengths / 2
    weights[1:] += lengths / 2
    if unseen == 0.0:
        # Without pauses nothing was missed but in gaps, of which the samples' spread is all that is known.
        return math.sqrt(spread * float((lengths[gaps] ** 2).sum()))
    return math.sqrt(unseen * fast * float((weights**2).sum()) + float(wandering.sum()))
