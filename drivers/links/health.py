"""The state of a link as a pure table, and how long to wait before the next attempt.

=========  ========  ==========  ======  ======
state      OPENED    HEARD       LATE    LOST
=========  ========  ==========  ======  ======
DOWN       UP        DOWN        DOWN    DOWN
UP         UP        UP          DEGR.   DOWN
DEGRADED   UP        UP          DEGR.   DOWN
=========  ========  ==========  ======  ======
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from testbed.model.view import Health

if TYPE_CHECKING:
    from random import Random


class Sign(enum.Enum):
    """What was noticed about a link."""

    OPENED = "opened"
    """It was connected."""
    HEARD = "heard"
    """Bytes moved again."""
    LATE = "late"
    """Bytes should have moved and did not."""
    LOST = "lost"
    """It ended, or was given up."""


def next_health(state: Health, sign: Sign) -> Health:
    """The state after a sign."""
    if sign is Sign.LOST:
        return Health.DOWN
    if sign is Sign.OPENED:
        return Health.UP
    if state is Health.DOWN:
        return Health.DOWN  # a straggler of a connection that is already given up
    return Health.DEGRADED if sign is Sign.LATE else Health.UP


class Backoff:
    """Waits between attempts: doubling, capped, with jitter so that boards do not return all at once."""

    def __init__(
        self,
        rng: Random,
        *,
        first_s: float = 0.1,
        cap_s: float = 5.0,
        factor: float = 2.0,
        jitter_frac: float = 0.25,
    ) -> None:
        """Draw the jitter from ``rng``: each wait is scaled by up to ``jitter_frac`` downwards."""
        self._rng = rng
        self._first = first_s
        self._cap = cap_s
        self._factor = factor
        self._jitter = jitter_frac
        self._attempt = 0

    def next_s(self) -> float:
        """How long to wait before the next attempt [s]; at most the cap."""
        wait = min(self._cap, self._first * self._factor ** min(self._attempt, 32))
        self._attempt += 1
        return wait * (1.0 - self._jitter * self._rng.random())

    def reset(self) -> None:
        """An attempt succeeded: begin with the shortest wait again."""
        self._attempt = 0
