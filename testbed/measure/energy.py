"""Energy over an interval from sampled power, or the reason why there is none.

Source: uncertainty of a sum of independent parts, JCGM 100:2008 (GUM) 5.1.2; a half-width a is worth a/sqrt(3) (4.3.7).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.model.energy import Energy, PowerTrace
from testbed.model.origin import Origin, weakest
from testbed.units import Ns, to_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.measure.clocksync import ClockBook
    from testbed.model.record import PowerSamples

MIN_SAMPLES = 3
MAX_GAP_FRAC = 0.2

Span = tuple[Ns, Ns]


class Idle(Struct, frozen=True, kw_only=True):
    """Power at rest [W] and its standard uncertainty; ``None`` with a reason where no window could tell."""

    power_w: float | None
    sigma_w: float | None = None
    reason: str = ""


def total_trace(blocks: Iterable[PowerSamples], clocks: ClockBook) -> PowerTrace | str:
    """The board's total power on the coordinator's clock: the sum of its total rails and of no others.

    Args:
        blocks: of one board; several boots may follow each other.

    Returns:
        The trace, or why there is none.
    """
    times: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    powers: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    bound = 0
    last: PowerSamples | None = None
    origins: set[Origin] = set()
    for block in blocks:
        if not block.t:
            continue
        columns = [block.rails.index(rail) for rail in block.total if rail in block.rails]
        if len(columns) != len(block.total) or not columns:
            return f"{block.board}: no rail of {', '.join(block.rails)} stands for the board's total"
        stamps = np.asarray(block.t, dtype=np.int64)
        converted = clocks.convert(block.board, block.boot, stamps)
        if converted is None:
            return f"{block.board}: its clock was never probed, so its samples cannot be placed in time"
        watts = np.asarray(block.power_w, dtype=np.float64).reshape(len(block.t), len(block.rails))
        times.append(converted[0])
        powers.append(watts[:, columns].sum(axis=1))
        bound = max(bound, int(converted[1].max()))
        origins.add(Origin(block.origin))
        last = block
    if last is None:
        return "no power samples"
    t = np.concatenate(times)
    order = np.argsort(t, kind="stable")
    t, power_w = t[order], np.concatenate(powers)[order]
    fresh = np.concatenate(([True], t[1:] > t[:-1]))
    return PowerTrace(
        t=t[fresh],
        power_w=power_w[fresh],
        rail="+".join(last.total),
        meter=last.meter,
        board=last.board,
        origin=weakest(origins),
        bound=bound,
    )


def integrate(trace: PowerTrace, span: Span) -> float:
    """Energy in a span [J]: trapezoids with both edges interpolated, the end samples held beyond the trace.

    Additive over adjacent spans. Whether the samples can carry the figure is for `energy_in` to judge.
    """
    start, end = span
    if trace.t.size == 0 or end <= start:
        return 0.0
    inner = trace.t[(trace.t > start) & (trace.t < end)]
    at = np.concatenate(([start], inner, [end])) - start
    seconds = at.astype(np.float64) / 1e9
    power = np.interp(seconds, (trace.t - start).astype(np.float64) / 1e9, trace.power_w)
    return float(np.trapezoid(power, seconds))


def energy_in(
    trace: PowerTrace,
    span: Span,
    *,
    idle: Idle | None = None,
    step_w: float | None = None,
    gain_frac: float = 0.0,
) -> Energy:
    """Energy drawn during an interval, gross and at idle, with the standard uncertainty of the net.

    Args:
        span: start and end on the coordinator's clock, end > start.
        idle: power at rest; without it there is no net figure.
        step_w: the meter's smallest step; by default the smallest difference seen, a lower limit of it.
        gain_frac: standard uncertainty of the meter's gain, from its data sheet.

    Returns:
        An `Energy`; its figures are ``None`` with a reason under 3 samples or with a gap over a fifth of the span.
    """
    scope = f"{trace.board} {trace.rail}"
    start, end = span
    refusal = _refusal(trace, span)
    if refusal:
        return Energy(
            gross_j=None, idle_j=None, sigma_j=None, scope=scope, origin=trace.origin, reason=refusal
        )
    gross = integrate(trace, span)
    duration = to_s(end - start)
    parts = [_sampling_sigma(trace, span, step_w)]
    idle_j: float | None = None
    reason = ""
    if idle is not None and idle.power_w is not None:
        idle_j = idle.power_w * duration
        parts.append((idle.sigma_w or 0.0) * duration)
        parts.append(gain_frac * (gross - idle_j))
    else:
        parts.append(gain_frac * gross)
        reason = idle.reason if idle is not None else "no idle power given"
    return Energy(
        gross_j=gross,
        idle_j=idle_j,
        sigma_j=math.hypot(*parts),
        scope=scope,
        origin=trace.origin,
        reason=reason,
    )


def idle_power(trace: PowerTrace, spans: Sequence[Span]) -> Idle:
    """Power at rest from windows without load, before and after; their disagreement is part of the uncertainty."""
    means: list[float] = []
    sigmas: list[float] = []
    reasons: list[str] = []
    for span in spans:
        refusal = _refusal(trace, span)
        if refusal:
            reasons.append(refusal)
            continue
        duration = to_s(span[1] - span[0])
        means.append(integrate(trace, span) / duration)
        inside = trace.power_w[(trace.t >= span[0]) & (trace.t <= span[1])]
        sigmas.append(float(inside.std(ddof=1)) / math.sqrt(inside.size))
    if not means:
        return Idle(
            power_w=None, reason=f"idle power unknown: {'; '.join(reasons) or 'no idle window was recorded'}"
        )
    half_spread = (max(means) - min(means)) / 2
    sigma = math.hypot(half_spread / math.sqrt(3), *(s / len(sigmas) for s in sigmas))
    return Idle(power_w=float(np.mean(means)), sigma_w=sigma)


def add_energies(energies: Sequence[Energy], scope: str) -> Energy:
    """The sum over boards; one missing part leaves no sum."""
    lacking = [e for e in energies if e.gross_j is None]
    if lacking or not energies:
        reason = "; ".join(e.reason for e in lacking) or "no board has a power meter"
        return Energy(
            gross_j=None,
            idle_j=None,
            sigma_j=None,
            scope=scope,
            origin=weakest(e.origin for e in energies),
            reason=reason,
        )
    no_idle = [e for e in energies if e.idle_j is None]
    sigmas = [e.sigma_j for e in energies if e.sigma_j is not None]
    return Energy(
        gross_j=sum(e.gross_j or 0.0 for e in energies),
        idle_j=None if no_idle else sum(e.idle_j or 0.0 for e in energies),
        sigma_j=None if len(sigmas) < len(energies) else math.hypot(*sigmas),
        scope=scope,
        origin=weakest(e.origin for e in energies),
        reason="; ".join(e.reason for e in no_idle),
    )


def _refusal(trace: PowerTrace, span: Span) -> str:
    """Why the samples cannot answer for this span, or an empty string."""
    start, end = span
    if end <= start:
        return f"{trace.board}: empty interval"
    inside = trace.t[(trace.t >= start) & (trace.t <= end)]
    if inside.size < MIN_SAMPLES:
        return f"{trace.board}: {inside.size} power samples in {to_s(end - start):.3g} s, at least {MIN_SAMPLES} needed"
    gaps = np.diff(np.concatenate(([start], inside, [end])))
    worst = float(gaps.max()) / (end - start)
    if worst > MAX_GAP_FRAC:
        return f"{trace.board}: {worst:.0%} of the interval without a power sample, at most {MAX_GAP_FRAC:.0%} allowed"
    return ""


def _sampling_sigma(trace: PowerTrace, span: Span, step_w: float | None) -> float:
    """Quantisation, both edges, and the clock bound, combined [J]."""
    start, end = span
    inside = trace.power_w[(trace.t >= start) & (trace.t <= end)]
    if step_w is None:
        levels = np.diff(np.unique(inside))
        step_w = float(levels.min()) if levels.size else 0.0
    # A constant load sits at the same place within a step, so its error does not average out.
    parts = [step_w / math.sqrt(12) * to_s(end - start)]
    for edge in (start, end):
        right = int(np.clip(np.searchsorted(trace.t, edge), 1, trace.t.size - 1))
        period = to_s(int(trace.t[right] - trace.t[right - 1]))
        parts.append(period / 2 * abs(float(trace.power_w[right] - trace.power_w[right - 1])) / math.sqrt(3))
    # A shifted window trades what lies just outside of it for what lies inside.
    first, last = np.searchsorted(trace.t, start) - 1, np.searchsorted(trace.t, end, side="right")
    around = trace.power_w[max(0, int(first)) : int(last) + 1]
    parts.append(to_s(trace.bound) * float(around.max() - around.min()) / math.sqrt(3))
    return math.hypot(*parts)
