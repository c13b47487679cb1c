"""Intervals that need no distribution: quantiles, proportions and paired differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from scipy.special import bdtr, bdtri, ndtri, stdtrit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2_000
LONG = 100_000
"""So many pairs are long enough to tell their interval from batches; drawing them 2,000 times anew takes minutes."""
BATCHES = 64
_CHUNK = 2_000_000


class Estimate(Struct, frozen=True, kw_only=True):
    """A figure with its confidence interval; ``None`` with a reason where it could not be had.

    ``value`` alone may be there without the interval: then ``reason`` says why the interval is missing.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The confidence interval, or ``None``."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def missing(reason: str, n: int = 0) -> Estimate:
    """An estimate that could not be had."""
    return Estimate(value=None, n=n, reason=reason)


def quantile(values: NDArray[np.float64], q: float, *, level: float = LEVEL) -> Estimate:
    """A quantile with the interval between two order statistics that covers it with at least ``level``.

    The ranks come from the binomial distribution of how many values lie below the quantile, so nothing is assumed of
    the values but that they are independent draws; ties only make the interval wider than need be.

    Args:
        values: shape (n,), any order, finite.

    Source: David & Nagaraja, Order Statistics, 3rd ed., section 7.1.
    """
    n = int(values.size)
    if n == 0:
        return missing("no values")
    ordered = np.sort(values)
    value = float(np.quantile(ordered, q))
    below = bdtr(np.arange(n), n, q)  # below[k] = P(at most k values lie below the quantile)
    tail = (1 - level) / 2
    low = int(np.searchsorted(below, tail, side="right"))  # rank l, from 1: P(B <= l - 1) <= tail
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1  # rank u: P(B >= u) <= tail
    if low < 1 or high > n:
        needed = smallest_sample(q, level)
        return Estimate(
            value=value, n=n, reason=f"{n} values are too few for an interval, which takes {needed}"
        )
    return Estimate(value=value, low=float(ordered[low - 1]), high=float(ordered[high - 1]), n=n)


def smallest_sample(q: float, level: float = LEVEL) -> int:
    """How many values an interval for a quantile takes at least."""
    tail = (1 - level) / 2
    return max(math.ceil(math.log(tail) / math.log(max(q, 1 - q)) - 1e-9), 1)


def wilson(successes: int, n: int, *, level: float = LEVEL) -> Estimate:
    """A proportion with Wilson's score interval, which stays inside [0, 1] and works at the ends.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    if n == 0:
        return missing("no trials")
    return wilson_of(successes / n, n, n, level=level)


def wilson_of(share: float, n: int, independent: float, *, level: float = LEVEL) -> Estimate:
    """Wilson's interval of a share seen in ``n`` trials that are worth only ``independent`` ones.

    Requests that show the same input again get the same answer again: they are worth one.
    """
    z = float(ndtri(0.5 + level / 2))
    spread = z * z / independent
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / independent + spread / (4 * independent)) / (1 + spread)
    # At the ends the exact bound is the end itself; rounding must not put it a hair inside.
    low = 0.0 if share == 0 else max(0.0, middle - half)
    high = 1.0 if share == 1 else min(1.0, middle + half)
    return Estimate(value=share, low=low, high=high, n=n)


def upper_share(successes: int, n: int, level: float = LEVEL) -> float:
    """One-sided exact upper bound of a proportion: a larger one would make so few successes rarer than 1 - level.

    Source: Clopper, Pearson, Biometrika 26 (1934) 404-413.
    """
    return 1.0 if successes >= n else float(bdtri(successes, n, 1.0 - level))


def mean_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis, as a statistic for `paired_difference`."""
    result: NDArray[np.float64] = values.mean(axis=-1)
    return result


def quantile_of(q: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A quantile over the last axis, as a statistic for `paired_difference`."""

    def statistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = np.quantile(values, q, axis=-1)
        return result

    return statistic


def block_length(n: int) -> int:
    """How many neighbours to draw together: n^(1/3), since a queue makes neighbouring response times alike.

    Source: Künsch, Ann. Statist. 17 (1989) 1217-1241 (rate of the best block length).
    """
    return max(1, round(math.cbrt(n)))


def paired_difference(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    seed: int = 0,
    block: int = 1,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    replicate: NDArray[np.int64] | None = None,
) -> Estimate:
    """``statistic(a) - statistic(b)`` with a bootstrap interval over the pairs.

    Pairs are drawn together, ``block`` neighbours at a time on a circle, so what both share cancels. Percentile
    interval; every resample has the full length. With replicates these are drawn first, with replacement, then runs
    of neighbours inside each: what differs from replicate to replicate enters the interval.

    Args:
        a, b: shape (n,), same request at the same place.
        replicate: which replicate each pair belongs to, in runs (all of one, then all of the next); shape (n,).

    Raises:
        ValueError: the shapes differ.

    Source: Davison & Hinkley, Bootstrap Methods and their Application (1997), 3.8 (hierarchical data).
    """
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"pairs need equal shapes (n,), not {a.shape} and {b.shape}")
    n = int(a.size)
    if n < 2:
        return missing(f"{n} pairs are too few to compare", n)
    value = float(statistic(a) - statistic(b))
    if n >= LONG:
        return _by_batches(a, b, statistic, value, level)
    rng = np.random.default_rng(seed)
    differences = np.empty(resamples)
    rows = max(1, _CHUNK // n)
    begins, sizes = _stretches(n, replicate)
    for first in range(0, resamples, rows):
        count = min(rows, resamples - first)
        picks = _picks(rng, begins, sizes, count, block)
        differences[first : first + count] = statistic(a[picks]) - statistic(b[picks])
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=value, low=float(low), high=float(high), n=n)


def _by_batches(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    value: float,
    level: float,
) -> Estimate:
    """The interval from the spread between batches of neighbours, Student's t: one pass instead of 2,000.

    Source: Law, Simulation Modeling and Analysis, 5th ed., 9.5.3 (method of batch means).
    """
    parts = zip(np.array_split(a, BATCHES), np.array_split(b, BATCHES), strict=True)
    spread = np.array([float(statistic(x) - statistic(y)) for x, y in parts])
    half = float(stdtrit(BATCHES - 1, 0.5 + level / 2) * spread.std(ddof=1) / math.sqrt(BATCHES))
    return Estimate(value=value, low=value - half, high=value + half, n=int(a.size))


def _picks(
    rng: np.random.Generator, begins: NDArray[np.int32], sizes: NDArray[np.int32], count: int, block: int
) -> NDArray[np.int32]:
    """Places of ``count`` resamples: each replicate's turn goes to one drawn among all, then to runs inside it."""
    n = int(sizes.sum())
    runs = -(-n // block)
    if begins.size == 1:
        begin, size = begins[:1], sizes[:1]
        starts = rng.integers(n, size=(count, runs, 1), dtype=np.int32)
    else:
        turn = np.arange(runs) * begins.size // runs
        drawn = rng.integers(begins.size, size=(count, begins.size))[:, turn, None]
        begin, size = begins[drawn], sizes[drawn]
        starts = rng.integers(size, dtype=np.int32)
    picks = begin + (starts + np.arange(block, dtype=np.int32)) % size
    return picks.reshape(count, -1)[:, :n].astype(np.int32, copy=False)


def _stretches(n: int, replicate: NDArray[np.int64] | None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where each replicate begins, and how many pairs it has."""
    first = np.zeros(1, dtype=np.int32)
    if replicate is not None:
        first = np.append(first, np.flatnonzero(np.diff(replicate)) + 1).astype(np.int32)
    return first, np.diff(np.append(first, n)).astype(np.int32)


def difference(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    seed: int = 0,
    block: int = 1,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """As `paired_difference`, for two sets that do not pair: each is drawn on its own."""
    if min(a.size, b.size) < 2:
        return missing("too few values to compare", int(min(a.size, b.size)))
    zero_a, zero_b = np.zeros_like(a), np.zeros_like(b)
    one = paired_difference(a, zero_a, statistic, seed=seed, block=block, resamples=resamples, level=level)
    two = paired_difference(
        b, zero_b, statistic, seed=seed + 1, block=block, resamples=resamples, level=level
    )
    if one.value is None or two.value is None or one.interval is None or two.interval is None:
        return missing("too few values to compare")
    value = one.value - two.value
    # Square-and-add of the two half-widths on each side (MOVER): no resamples need to be kept.
    low = value - math.hypot(one.value - one.interval[0], two.interval[1] - two.value)
    high = value + math.hypot(one.interval[1] - one.value, two.value - two.interval[0])
    return Estimate(value=value, low=low, high=high, n=int(min(a.size, b.size)))


def mcnemar(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> float:
    """Exact two-sided p-value that two classifiers are equally often right on the same inputs.

    Source: McNemar, Psychometrika 12 (1947) 153-157; exact form: the binomial test on the discordant pairs.
    """
    only_a = int((a_right & ~b_right).sum())
    only_b = int((b_right & ~a_right).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(min(1.0, 2 * bdtr(min(only_a, only_b), only_a + only_b, 0.5)))
