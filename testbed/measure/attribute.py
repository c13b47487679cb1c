"""What the work of each kind takes, from how much of each was done while how much energy was drawn.

A meter that sees ten executions in one sample cannot tell one from another; a regression over the whole run can. The
load is cut into windows that the meter resolves; in each, net energy is the sum over kinds of the time spent executing
times the kind's power above idle. Least squares with nothing below zero gives the latter, and an execution takes that
power times its own time. Time is the measure of work, not the number of executions: of long ones fewer fit into a
window while more energy is drawn, so that counts would be correlated with the error of the fit and bias it. The fit is
bound to give the whole net energy of the loads back: what the board draws above idle without executing is in the
figures too, since nothing else is there to bear it.

The time spent in a window is taken as the meter would have shown it: as samples, summed by the same rule. A meter
smears what happens at a window's edge; a sharp count against a smeared energy would err with what is counted, and bias
the fit as well. Each sample is over the window of the meter's, over the time to the next one where that is longer, and
over what the delay is unknown by: what the meter did not look at, or not when it is thought to, is then an error of the
energy alone, which the scatter shows, and not of the time.

Uncertainty: the scatter about the fit (type A: GUM 4.2, and H.3 for a line), widened by (1 + r)/(1 - r) where
neighbouring windows err alike with correlation r > 0; idle power, wrong by the same in every window; gain and the
meter's steps, common to all (GUM 5.2.2).

Kinds that came and went together cannot be told apart: a direction in which the scaled columns are nearly dependent
(condition index over 30) is unknown, and so is any sum of kinds that leans on it.

Source: JCGM 100:2008 (GUM) as cited; Lawson & Hanson, Solving Least Squares Problems (1974), chapter 23 (NNLS);
Belsley, Kuh & Welsch, Regression Diagnostics (1980), 3.2 (condition indexes); Bayley & Hammersley, J. R. Stat. Soc.
Suppl. 8 (1946) 184-197 (number of independent observations).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.optimize import nnls

from testbed.measure.budget import budget
from testbed.measure.integral import Integral
from testbed.measure.shares import busy_upto
from testbed.model.energy import PowerTrace
from testbed.units import to_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.measure.energy import EnergyBook, Idle, Span

COLLINEAR = 30.0
LEANING = 0.1
WINDOW_PERIODS = 10
"""Length of a window in the meter's periods where the load is long enough."""
SHORTEST_PERIODS = 3
WINDOWS_PER_KIND = 5
FEWEST_WINDOWS = 10
MOST_WINDOWS = 5_000
WHOLE = 100.0
"""Weight of the loads' whole energy beside that of one window, so that the fit gives it back to 1e-4 and better."""
SHORTEST_NS = 1_000
"""What an instant lasts at least."""


class Windows(Struct, frozen=True, kw_only=True):
    """One load cut up.

    Attributes:
        net_j: float64 (n,). busy_s: float64 (n, k), time spent on each kind. seconds: float64 (n,), lengths.
        idle_sigma_w: standard uncertainty of the idle power. gain_frac: of the gain. steps_j: of the whole by the
            meter's steps.
    """

    net_j: NDArray[np.float64]
    busy_s: NDArray[np.float64]
    seconds: NDArray[np.float64]
    idle_sigma_w: float
    gain_frac: float
    steps_j: float


class Attribution(Struct, frozen=True, kw_only=True):
    """Power above idle while each kind executes.

    Attributes:
        kinds: names. power_w: float64 (k,). covariance: float64 (k, k) [W^2].
        unknown: float64 (u, k), unit vectors in scaled kinds: sums that lean on one cannot be told.
        scale: float64 (k,), what scales the kinds; 0 for one that never came. condition: the largest index.
        windows: how many there were.
    """

    kinds: tuple[str, ...]
    power_w: NDArray[np.float64]
    covariance: NDArray[np.float64]
    unknown: NDArray[np.float64]
    scale: NDArray[np.float64]
    condition: float
    windows: int

    def of(self, work: NDArray[np.float64]) -> tuple[float, float] | str:
        """Energy of so much work of each kind and its standard uncertainty [J], or why it cannot be told.

        Args:
            work: float64 (k,) [s].
        """
        never = [kind for kind, n, scale in zip(self.kinds, work, self.scale, strict=True) if n and not scale]
        if never:
            return f"{', '.join(never)} was not executed under a meter's eyes"
        lean = np.divide(work, self.scale, out=np.zeros_like(work), where=self.scale > 0)
        length = float(np.linalg.norm(lean))
        for direction in self.unknown:
            if abs(float(direction @ lean)) > LEANING * length:
                names = [
                    kind for kind, part in zip(self.kinds, direction, strict=True) if abs(part) > LEANING
                ]
                return (
                    f"{' and '.join(names)} came and went together (condition index {self.condition:.0f}, at most "
                    f"{COLLINEAR:.0f} allowed), so what each takes cannot be told"
                )
        return float(self.power_w @ work), math.sqrt(max(float(work @ self.covariance @ work), 0.0))


def cut(
    book: EnergyBook,
    span: Span,
    idle: Idle,
    executions: NDArray[np.int64],
    which: NDArray[np.int64],
    kinds: int,
) -> Windows | str:
    """Cut a load into windows that the meter resolves, or say why it cannot be.

    Args:
        executions: start and finish of each, int64 (m, 2), on the coordinator's clock. which: int64 (m,), its kind.
        kinds: how many there are.
    """
    board = book.trace.board
    cover = book.cover(span)
    if cover.refusal or book.integral is None:
        return cover.refusal
    if idle.power_w is None:
        return idle.reason
    period = max(book.integral.period, book.integral.window)
    length = span[1] - span[0]
    wanted = max(FEWEST_WINDOWS, WINDOWS_PER_KIND * kinds)
    count = min(max(length // (WINDOW_PERIODS * period), wanted), MOST_WINDOWS)
    if length // count < SHORTEST_PERIODS * period:
        return (
            f"{board}: a load of {to_s(length):.3g} s is too short to tell {kinds} kinds of work apart by a meter "
            f"with a value every {to_s(period):.3g} s, which takes "
            f"{to_s(wanted * SHORTEST_PERIODS * period):.3g} s"
        )
    cuts = np.linspace(span[0], span[1], int(count) + 1).astype(np.int64)
    gaps = np.diff(book.integral.middles)
    holes = np.flatnonzero(gaps > SHORTEST_PERIODS * period)
    seen = np.ones(int(count), dtype=np.bool_)
    for hole in holes:  # a window of which nothing was seen tells nothing
        left, right = np.searchsorted(cuts, book.integral.middles[[hole, hole + 1]])
        seen[max(int(left) - 1, 0) : int(right)] = False
    seconds = np.diff(cuts).astype(np.float64) / 1e9
    net = book.integral.between(cuts[:-1], cuts[1:]) - idle.power_w * seconds
    busy = np.column_stack([_busy(book, cuts, executions[which == kind]) for kind in range(kinds)])
    return Windows(
        net_j=net[seen],
        busy_s=busy[seen],
        seconds=seconds[seen],
        idle_sigma_w=idle.sigma_w or 0.0,
        gain_frac=book.trace.traits.gain_frac,
        steps_j=budget(book.trace, book.integral, *span)["steps"],
    )


def attribute(loads: Sequence[Windows], kinds: Sequence[str]) -> Attribution | str:
    """Power above idle of each kind of work, or why nothing can be told.

    Args:
        loads: of one board, at least one, with the same kinds.
    """
    y = np.concatenate([load.net_j for load in loads])
    x = np.concatenate([load.busy_s for load in loads])
    scale = np.linalg.norm(x, axis=0)
    came = np.flatnonzero(scale > 0)
    if came.size == 0:
        return "nothing was executed under a meter's eyes"
    if y.size < max(FEWEST_WINDOWS, WINDOWS_PER_KIND * came.size):
        return f"{y.size} windows with samples are too few for {came.size} kinds of work"
    scaled = x[:, came] / scale[came]
    _, sizes, directions = np.linalg.svd(scaled, full_matrices=False)
    far = sizes[0] / np.maximum(sizes, 1e-12 * sizes[0])
    solid = far <= COLLINEAR
    bound = np.vstack((scaled, WHOLE * scaled.sum(axis=0)))
    fit, _ = nnls(bound, np.append(y, WHOLE * y.sum()))
    residual = y - scaled @ fit
    freedom = max(y.size - int((fit > 0).sum()), 1)
    variance = float(residual @ residual) / freedom * _alike(residual, [load.net_j.size for load in loads])
    # The fit as a linear function of the windows' energies, along the directions that can be told.
    turned = directions[solid].T @ np.linalg.pinv(bound @ directions[solid].T)
    inverse = turned[:, :-1] + WHOLE * turned[:, -1:]
    idle = inverse @ np.concatenate([load.seconds * load.idle_sigma_w for load in loads])
    drawn = float(y.sum())
    steps = math.hypot(*(load.steps_j for load in loads)) / drawn if drawn > 0 else 0.0
    common = fit * math.hypot(max(load.gain_frac for load in loads), steps)
    cover = variance * (inverse @ inverse.T) + np.outer(idle, idle) + np.outer(common, common)
    power, covariance = np.zeros(len(kinds)), np.zeros((len(kinds), len(kinds)))
    power[came] = fit / scale[came]
    covariance[np.ix_(came, came)] = cover / np.outer(scale[came], scale[came])
    unknown = np.zeros((int((~solid).sum()), len(kinds)))
    unknown[:, came] = directions[~solid]
    return Attribution(
        kinds=tuple(kinds),
        power_w=power,
        covariance=covariance,
        unknown=unknown,
        scale=scale,
        condition=float(far[-1]),
        windows=int(y.size),
    )


def _busy(book: EnergyBook, cuts: NDArray[np.int64], executions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Time spent executing in each window, as this meter would have shown it at 1 W [s]."""
    trace, late = book.trace, book.trace.traits.delay_bound_ns
    if trace.traits.quantity == "counter":
        begin, end = np.append(trace.t[:1] - SHORTEST_NS, trace.t[:-1]) - late, trace.t + late
    else:
        spacing = book.integral.spacing if book.integral is not None else 0
        middle = trace.t - trace.traits.window_ns // 2
        half = max(trace.traits.window_ns, spacing, SHORTEST_NS) // 2 + late
        begin, end = middle - half, middle + half
    shown = (busy_upto(end, executions) - busy_upto(begin, executions)) / ((end - begin) / 1e9)
    like = PowerTrace(
        t=trace.t,
        power_w=shown,
        rail=trace.rail,
        meter=trace.meter,
        board=trace.board,
        origin=trace.origin,
        traits=trace.traits,
    )
    return Integral(like).between(cuts[:-1], cuts[1:])


def _alike(residual: NDArray[np.float64], sizes: Sequence[int]) -> float:
    """By how much the variance of a mean grows since neighbouring windows of a load err alike; 1 if they do not."""
    parts = np.split(residual, np.cumsum(sizes)[:-1])
    whole = float(residual @ residual)
    r = sum(float(part[1:] @ part[:-1]) for part in parts) / whole if whole > 0 else 0.0
    r = min(max(r, 0.0), 0.95)
    return (1 + r) / (1 - r)
