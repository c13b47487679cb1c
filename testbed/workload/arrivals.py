"""When requests come: open-loop processes, as offsets from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

from testbed.units import S

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Arrivals(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An arrival process.

    Attributes:
        process: ``poisson`` (exponential gaps) or ``constant`` (equal gaps).
        rate_hz: mean arrivals per second, > 0.
    """

    process: Literal["poisson", "constant"] = "poisson"
    rate_hz: float


def draw_arrivals(arrivals: Arrivals, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Offsets of ``count`` arrivals, int64 (count,) [ns], ascending, the first after one gap.

    Raises:
        ValueError: the rate is not positive.
    """
    if arrivals.rate_hz <= 0:
        raise ValueError(f"rate_hz must be positive, not {arrivals.rate_hz}")
    mean_ns = S / arrivals.rate_hz
    if arrivals.process == "constant":
        return (np.arange(1, count + 1) * mean_ns).round().astype(np.int64)
    offsets: NDArray[np.int64] = np.rint(np.cumsum(rng.exponential(mean_ns, count))).astype(np.int64)
    return offsets
