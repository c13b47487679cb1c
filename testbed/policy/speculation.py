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
    from collections.abc import Collection

    from testbed.model.ids import BoardId
    from testbed.model.view import View
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


class Speculation:
    """Whether to ask both at once, by how busy the data centre is as arrivals see it.

    Arrivals of a Poisson stream see time averages, so an average over them needs no clock.

    Attributes:
        utilisation: share of the data centre's lanes that are at work, smoothed.
    """

    def __init__(self, mode: Mode, dc: Collection[BoardId], max_utilisation: float) -> None:
        """An idle data centre.

        Args:
            max_utilisation: of the data centre, from which on ``auto`` stays serial.
        """
        self.utilisation = 0.0
        self._mode = mode
        self._dc = sorted(dc)
        self._max_utilisation = max_utilisation

    def saw(self, now: Ns, view: View) -> None:
        """One more arrival."""
        lanes = [free > now for board in self._dc for free in view.boards[board].busy_until]
        if lanes:
            self.utilisation += SMOOTHING * (sum(lanes) / len(lanes) - self.utilisation)

    def wanted(self, now: Ns, edge: Pick, backend: Pick, deadline: Ns | None) -> bool:
        """Whether a request with this deadline is asked at both.

        Args:
            edge, backend: when each would be through if asked now.
        """
        if self._mode is Mode.SERIAL or edge.runner.p_off < LIKELY:
            return False
        if self._mode is Mode.SPECULATIVE:
            return True
        if deadline is None or self.utilisation >= self._max_utilisation:
            return False
        serial_tail = edge.finish + (edge.runner.slow - edge.runner.service) + (backend.finish - now)
        return serial_tail > deadline >= max(edge.finish, backend.finish)
