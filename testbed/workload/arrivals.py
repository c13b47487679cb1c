"""When requests come: open-loop processes, as offsets from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

from testbed.model.ranges import Positive
from testbed.units import S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Arrivals(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An arrival process.

    Attributes:
        process: ``poisson`` (exponential gaps) or ``constant`` (equal gaps).
        rate_hz: mean arrivals per second, > 0.
    """

    process: Literal["poisson", "constant"] = "poisson"
    rate_hz: Positive


BLOCK = 8192
"""Arrivals drawn at a time."""


def arrival_blocks(arrivals: Arrivals, count: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Offsets of ``count`` arrivals [ns], int64, ascending, the first after one gap; in blocks of up to `BLOCK`.

    Raises:
        ValueError: the rate is not positive.
    """
    if arrivals.rate_hz <= 0:
        raise ValueError(f"rate_hz must be positive, not {arrivals.rate_hz}")
    mean_ns = S / arrivals.rate_hz
    reached = 0.0
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        if arrivals.process == "constant":
            yield (np.arange(first + 1, first + size + 1) * mean_ns).round().astype(np.int64)
            continue
        # Summed on from the last block, so that the blocks are those of one long sum to the bit.
        offsets = np.cumsum(np.append(reached, rng.exponential(mean_ns, size)))[1:]
        reached = float(offsets[-1])
        yield np.rint(offsets).astype(np.int64)


def draw_arrivals(arrivals: Arrivals, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """All offsets at once, int64 (count,); see `arrival_blocks`.

    Raises:
        ValueError: the rate is not positive.
    """
    return np.concatenate([np.empty(0, dtype=np.int64), *arrival_blocks(arrivals, count, rng)])
