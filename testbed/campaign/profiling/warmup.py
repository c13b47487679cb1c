"""Tells where the first executions of a block end that are slower (or quicker) than those to come.

The second half of the block stands for the steady state. Running medians of five are compared with it: a single slow
execution does not move them, a stretch does. The warm-up ends where the running median first lies within what the
running medians of the steady half do themselves. Where it never does, or where the steady half still moves, it had
not ended when half the block was over.

Source: that warm-up must be looked for in the series and not assumed, Barrett et al., "Virtual machine warmup blows hot
and cold", OOPSLA 2017; they segment it by change points, the rule here is simpler and our own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHORTEST = 16
"""Of fewer executions nothing is told."""
WINDOW = 5
SLACK = 4.0
"""So many times its scatter a difference of medians is none that chance makes."""
FINEST_FRAC = 0.01
"""A difference of less than this is none: it would be below what a profile is used for."""


class WarmUp(Struct, frozen=True, kw_only=True):
    """Executions to keep apart at the beginning; ``settled`` is false where it had not ended half-way."""

    length: int
    settled: bool = True


def find_warmup(times: Sequence[int], *, cold: bool = True) -> WarmUp:
    """How many of the first executions belong to the warm-up.

    Args:
        times: service times in the order they were executed, any unit.
        cold: the model had not been executed like this before: then the very first one counts as warm-up if it is
            the slowest of all and beyond the steady half by its own range. In later blocks such a one is kept, or the
            tail would lose what it is made of.
    """
    x = np.asarray(times, dtype=np.float64)
    if x.size < SHORTEST:
        return WarmUp(length=0)
    half = x.size // 2
    steady = x[half:]
    middle = float(np.median(steady))
    medians = _running(x)
    calm = medians[half:]
    room = max(float(np.abs(calm - np.median(calm)).max()), FINEST_FRAC * middle)
    inside = np.abs(medians - middle) <= room
    first = int(np.argmax(inside)) if inside[: half + 1].any() else half
    if first >= half or _moves(steady):
        return WarmUp(length=half, settled=False)
    low, high = float(steady.min()), float(steady.max())
    reach = max(high - low, FINEST_FRAC * middle)
    # A median of five is steady as soon as three of its five are: up to two of the warm-up may still lead it.
    if first > 0 or cold:
        while first < half and (x[first] > high + reach or x[first] < low - reach):
            first += 1
    return WarmUp(length=first)


def _moves(steady: NDArray[np.float64]) -> bool:
    """Whether what should be steady is not: its two halves differ by more than their medians scatter.

    The scatter is told from neighbours, which a trend leaves alone: the median of n draws of spread s is uncertain by
    sqrt(pi/2) s / sqrt(n) for normal draws.
    """
    half = steady.size // 2
    early, late = float(np.median(steady[:half])), float(np.median(steady[half:]))
    spread = float(np.median(np.abs(np.diff(steady)))) / 0.954
    scatter = math.sqrt(math.pi / 2) * spread * np.sqrt(2 / half)
    return bool(abs(early - late) > max(SLACK * scatter, FINEST_FRAC * late))


def _running(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each five that follow each other, shape (n - 4,)."""
    found: NDArray[np.float64] = np.median(np.lib.stride_tricks.sliding_window_view(x, WINDOW), axis=1)
    return found
