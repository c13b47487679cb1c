"""Takes limits on the time inside a network, gives thresholds that stop where the emulated board would be by then.

What computes the answer runs at the host's speed, or not at all where answers are replayed; so nothing may look at a
real clock. Does not know runtimes, nor how the pace is kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.model.profile import HwProfile


def in_paced_time(
    thresholds: Sequence[Sequence[float]],
    stop_after_ns: Sequence[int],
    profile: HwProfile,
    batch: int,
    u: float,
) -> list[Sequence[float]]:
    """Thresholds that say what ``stop_after_ns`` says as well.

    An exit is reached after the service time drawn for it; the first that is reached late enough gets a threshold
    that everything passes.

    Args:
        thresholds, stop_after_ns: by item, as a runtime gets them; times are of the board's clock.
        profile: gives the time of each exit.
        batch: items executed together, at least 1.
        u: the quantile drawn.
    """
    rules = list(thresholds)
    if any(stop_after_ns):
        reached = [profile.service_at(batch, exit_, u) for exit_ in range(profile.exits)]
        for i, limit in enumerate(stop_after_ns):
            late = next((exit_ for exit_, t in enumerate(reached) if 0 < limit <= t), None)
            if late is not None:
                own = tuple(rules[i])[:late]
                rules[i] = (*own, *(math.inf,) * (late - len(own)), 0.0)
    return rules
