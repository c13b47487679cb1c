"""Serial or speculative: whether a request's copy for the data centre leaves at once or only when the edge is unsure.

Asked one after the other, an unsure request takes the edge's time plus the data centre's, and with more than one in a
hundred unsure that is what the 99th percentile is made of. Asked at once it takes the longer of the two, at the price
of data-centre work for requests that the edge would have answered.

Source: our own proposal, after the hint that EdgeSight's backend may be told to stop a started inference.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.model.view import BoardView
    from testbed.policy.runners import Pick
    from testbed.units import Ns

SMOOTHING = 0.02
LIKELY = 0.01
"""A share of unsure answers below this does not reach the 99th percentile."""


class Mode(enum.Enum):
    """When the copy for the data centre leaves."""

    SERIAL = "serial"
    SPECULATIVE = "speculative"
    AUTO = "auto"
    """Speculative where the serial tail would miss the deadline and the data centre has room."""


class Utilisation:
    """How busy a site is as arrivals see it.

    Arrivals of a Poisson stream see time averages, so an average over them needs no clock.
    """

    def __init__(self) -> None:
        """Idle."""
        self.frac = 0.0

    def saw(self, now: Ns, boards: Iterable[BoardView]) -> None:
        """One more arrival; the share of lanes that are at work."""
        lanes = [free > now for board in boards for free in board.busy_until]
        if lanes:
            self.frac += SMOOTHING * (sum(lanes) / len(lanes) - self.frac)


def wanted(
    mode: Mode,
    edge: Pick,
    backend: Pick,
    *,
    now: Ns,
    deadline: Ns | None,
    utilisation: float,
    max_utilisation: float,
) -> bool:
    """Whether to ask both at once.

    Args:
        edge, backend: when each would be through if asked now.
        deadline: of the request. utilisation: of the data centre.
    """
    if mode is Mode.SERIAL or edge.runner.p_off < LIKELY:
        return False
    if mode is Mode.SPECULATIVE:
        return True
    if deadline is None or utilisation >= max_utilisation:
        return False
    serial_tail = edge.finish + (edge.runner.slow - edge.runner.service) + (backend.finish - now)
    return serial_tail > deadline >= max(edge.finish, backend.finish)
