"""Puts an instrument's own stamps on our clock where nothing can be asked back: by the least delayed arrivals.

A sample cannot arrive before it was made, so every arrival bounds the offset between the clocks from above, and the
smallest bound counts. It may grow by what crystals drift, or else one quick arrival would hold for ever. The error is
the least delay of the way (for the driver's ``delay_ns``) plus what the offset was allowed to creep since.

Source: RFC 5905 (NTP v4) section 10, the minimum filter, used one way.
"""

from __future__ import annotations

CREEP_PPM = 100
"""Two crystals in working order drift apart by less (10 to 50 ppm each is usual)."""


class OneWayClock:
    """One instrument's clock; stamps given increase strictly, whatever the instrument does."""

    def __init__(self, *, jump_ns: int = 1_000_000_000) -> None:
        """Know nothing; an instrument whose clock goes back, or disagrees by more than ``jump_ns``, was restarted."""
        self._jump = jump_ns
        self._offset: int | None = None
        self._own = 0
        self._last = -(1 << 63)

    def forget(self) -> None:
        """The instrument may have been restarted; stamps go on increasing."""
        self._offset = None

    def place(self, own_ns: int, arrival_ns: int) -> int:
        """Our stamp of a sample that the instrument stamped ``own_ns`` and that arrived at ``arrival_ns`` [ns]."""
        bound = arrival_ns - own_ns
        if self._offset is None or own_ns < self._own or bound > self._offset + self._jump:
            self._offset = bound
        else:
            self._offset = min(self._offset + (own_ns - self._own) * CREEP_PPM // 1_000_000, bound)
        self._own = own_ns
        self._last = max(own_ns + self._offset, self._last + 1)
        return self._last


class Unwrap:
    """Counts on where a counter begins again at 0."""

    def __init__(self, size: int) -> None:
        """``size`` counts and it is 0 again."""
        self._size = size
        self._base = 0
        self._last: int | None = None

    def count(self, value: int) -> int:
        """The counter as if it had never begun again; a step back by less than half its size is one (a restart)."""
        if self._last is not None and value < self._last - self._size // 2:
            self._base += self._size
        self._last = value
        return self._base + value
