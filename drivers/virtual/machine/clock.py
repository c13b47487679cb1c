"""A board's own clock: it started at another instant than the host's, and its crystal runs at another rate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class SkewedClock:
    """A monotonic clock with an offset and a drift against the host's.

    Reads ``offset_ns + host * (1 + drift_ppb / 1e9)`` in integer arithmetic, so it never runs backwards for a
    drift above minus one billion parts per billion.

    Source: crystals run 10-50 ppm off, that is up to 50,000 ppb.
    """

    name = "skewed"

    def __init__(
        self, *, offset_ns: int = 0, drift_ppb: int = 0, host: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Skew ``host``.

        Raises:
            ValueError: the clock would stand still or run backwards.
        """
        if drift_ppb <= -1_000_000_000:
            raise ValueError(f"a drift of {drift_ppb} ppb would stop the clock")
        self._offset = offset_ns
        self._drift = drift_ppb
        self._host = host

    def now_ns(self) -> int:
        """The board's time [ns]."""
        host = self._host()
        return self._offset + host + host * self._drift // 1_000_000_000

    def host_ns(self, span: int) -> int:
        """How long the host's clock runs while this one counts ``span`` [ns]."""
        return span * 1_000_000_000 // (1_000_000_000 + self._drift)
