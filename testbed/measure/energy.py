"""Energy over an interval from sampled power, or the reason why there is none.

The uncertainty of the gross energy is that of the meter's gain and offset and of `testbed.measure.budget`, as
independent parts. The net energy is the gross less the idle power times the interval: a constant offset and the gain of
the idle part fall out of the difference, the uncertainty of the idle power comes in.

Source: JCGM 100:2008 (GUM) 5.1.2 for independent parts, 4.3.7 for limits, F.1.2.4 for errors common to both terms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.measure.budget import MIN_SAMPLES, budget, quiet
from testbed.measure.integral import Integral
from testbed.model.energy import Energy, PowerTrace
from testbed.model.origin import weakest
from testbed.units import Ns, to_s

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_GAP_FRAC = 0.2
USUAL = 2.0
"""Samples further apart than so many times the usual distance leave a part of the interval uncovered."""

Span = tuple[Ns, Ns]


class Idle(Struct, frozen=True, kw_only=True):
    """Power at rest; ``None`` with a reason where no window could tell.

    Attributes:
        power_w: mean of all windows [W]. sigma_w: its standard uncertainty, gain and offset apart [W].
        windows_w: mean of each window, in time [W].
    """

    power_w: float | None
    sigma_w: float | None = None
    windows_w: tuple[float, ...] = ()
    reason: str = ""

    @property
    def drift_w(self) -> float | None:
        """Last window less first [W]; ``None`` with fewer than two."""
        return self.windows_w[-1] - self.windows_w[0] if len(self.windows_w) > 1 else None


class Cover(Struct, frozen=True, kw_only=True):
    """How well samples cover an interval: their number, the share that is covered, the longest gap, why not."""

    samples: int
    covered_frac: float
    gap_frac: float
    refusal: str = ""


class EnergyBook:
    """A trace, summed up: energies of as many intervals as one likes.

    Attributes:
        trace: what it came from. integral: of it, ``None`` for an empty trace.
    """

    def __init__(self, trace: PowerTrace) -> None:
        """Sum up once."""
        self.trace = trace
        self.integral = Integral(trace) if trace.t.size else None

    def gross(self, span: Span) -> float:
        """Energy in an interval [J], whether or not the samples can carry the figure; 0 for an empty one."""
        if self.integral is None:
            return 0.0
        edges = np.asarray(span, dtype=np.int64)
        return float(self.integral.between(edges[:1], edges[1:])[0])

    def cover(self, span: Span) -> Cover:
        """How well the samples cover an interval."""
        start, end = span
        board = self.trace.board
        if end <= start:
            return Cover(samples=0, covered_frac=0.0, gap_frac=1.0, refusal=f"{board}: empty interval")
        middles = self.integral.middles if self.integral is not None else self.trace.t
        left, right = np.searchsorted(middles, [start, end + 1])
        count = int(right - left)
        gaps = np.diff(np.concatenate(([start], middles[left:right], [end]))).astype(np.float64)
        spacing = self.integral.spacing if self.integral is not None else 0
        worst = float(gaps.max()) / (end - start)
        covered = float(gaps[gaps <= USUAL * spacing].sum()) / (end - start)
        refusal = ""
        if count < MIN_SAMPLES:
            refusal = (
                f"{board}: {count} power samples in {to_s(end - start):.3g} s, at least {MIN_SAMPLES} needed"
            )
        elif worst > MAX_GAP_FRAC:
            refusal = f"{board}: {worst:.0%} of the interval without a power sample, at most {MAX_GAP_FRAC:.0%} allowed"
        elif (over := self.trace.over) is not None and bool(
            ((over[:, 0] < end) & (over[:, 1] >= start)).any()
        ):
            refusal = f"{board}: the meter stood at the end of its range, so more may have been drawn"
        return Cover(samples=count, covered_frac=covered, gap_frac=worst, refusal=refusal)

    def energy(self, span: Span, idle: Idle | None = None) -> Energy:
        """Energy drawn during an interval, gross and at idle, with its standard uncertainty.

        Args:
            span: start and end on the coordinator's clock, end > start.
            idle: power at rest; without it there is no net figure.

        Returns:
            An `Energy`; its figures are ``None`` with a reason under 3 samples, with a gap over a fifth of the span, or
            where the meter was at the end of its range.
        """
        trace = self.trace
        cover = self.cover(span)
        scope = f"{trace.board} {trace.rail}"
        if cover.refusal or self.integral is None:
            return Energy(
                gross_j=None,
                idle_j=None,
                sigma_j=None,
                scope=scope,
                origin=trace.origin,
                reason=cover.refusal,
                samples=cover.samples,
                covered_frac=cover.covered_frac,
                gap_frac=cover.gap_frac,
            )
        gross = self.gross(span)
        duration = to_s(span[1] - span[0])
        parts = budget(trace, self.integral, *span)
        gain = trace.traits.gain_frac
        sigma_gross = math.hypot(*parts.values(), gain * gross, trace.offset_w * duration)
        idle_j: float | None = None
        reason = ""
        if idle is not None and idle.power_w is not None:
            idle_j = idle.power_w * duration
            parts |= {"gain": gain * abs(gross - idle_j), "idle": (idle.sigma_w or 0.0) * duration}
        else:
            parts |= {"gain": gain * abs(gross), "offset": trace.offset_w * duration}
            reason = idle.reason if idle is not None else "no idle power given"
        return Energy(
            gross_j=gross,
            idle_j=idle_j,
            sigma_j=math.hypot(*parts.values()),
            sigma_gross_j=sigma_gross,
            scope=scope,
            origin=trace.origin,
            reason=reason,
            samples=cover.samples,
            covered_frac=cover.covered_frac,
            gap_frac=cover.gap_frac,
            idle_drift_w=idle.drift_w if idle is not None else None,
            budget=parts,
        )

    def idle(self, spans: Sequence[Span]) -> Idle:
        """Power at rest from windows without load, before and after: the mean of the samples that saw nothing else.

        What windows of one meter have in common (steps) does not average out between them; what each missed does. Idle
        power during the load is taken to lie between them, as a rectangle (GUM 4.3.7).
        """
        means: list[float] = []
        common: list[float] = []
        apart: list[float] = []
        reasons: list[str] = []
        for start, end in sorted(spans):
            cover = self.cover((start, end))
            if cover.refusal or self.integral is None:
                reasons.append(cover.refusal)
                continue
            rest = quiet(self.trace, self.integral, start, end)
            if rest is None:
                reasons.append(
                    f"{self.trace.board}: fewer than {MIN_SAMPLES} samples see nothing but an idle window of "
                    f"{to_s(end - start):.3g} s, as each looks back {to_s(self.integral.window):.3g} s"
                )
                continue
            means.append(rest.power_w)
            common.append(rest.steps_w)
            apart.append(rest.sampling_w)
        if not means:
            why = "; ".join(reasons) or "no idle window was recorded"
            return Idle(power_w=None, reason=f"idle power unknown: {why}")
        half_spread = (max(means) - min(means)) / 2
        sigma = math.hypot(
            half_spread / math.sqrt(3), sum(common) / len(common), math.hypot(*apart) / len(apart)
        )
        return Idle(power_w=float(np.mean(means)), sigma_w=sigma, windows_w=tuple(means))


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
    return Energy(
        gross_j=sum(e.gross_j or 0.0 for e in energies),
        idle_j=None if no_idle else sum(e.idle_j or 0.0 for e in energies),
        sigma_j=_together([e.sigma_j for e in energies]),
        sigma_gross_j=_together([e.sigma_gross_j for e in energies]),
        scope=scope,
        origin=weakest(e.origin for e in energies),
        reason="; ".join(e.reason for e in no_idle),
        samples=sum(e.samples for e in energies),
        covered_frac=min((e.covered_frac for e in energies if e.covered_frac is not None), default=None),
        gap_frac=max((e.gap_frac for e in energies if e.gap_frac is not None), default=None),
        budget={
            cause: math.hypot(*(e.budget.get(cause, 0.0) for e in energies))
            for cause in dict.fromkeys(cause for e in energies for cause in e.budget)
        },
    )


def _together(sigmas: Sequence[float | None]) -> float | None:
    known = [sigma for sigma in sigmas if sigma is not None]
    return math.hypot(*known) if len(known) == len(sigmas) else None
