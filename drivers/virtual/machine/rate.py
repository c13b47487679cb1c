"""When the bytes of a serial line are through: ten bits each, one after the other."""

from __future__ import annotations

BITS_PER_BYTE = 10
"""Start bit, eight data bits, stop bit."""


class LineRate:
    """Counts bytes against a cumulative schedule, so that rounding and late wake-ups never add up."""

    def __init__(self, baud: int) -> None:
        """A line of ``baud`` bits per second, idle.

        Raises:
            ValueError: not a rate.
        """
        if baud <= 0:
            raise ValueError(f"a line of {baud} baud carries nothing")
        self._baud = baud
        self._start = 0
        self._passed = 0

    def begin(self, now: int) -> None:
        """A byte arrives on an idle line: its first bit leaves when the byte before is through, or now [ns]."""
        self._start = max(now, self._instant(self._passed))
        self._passed = 0

    def passed(self, count: int) -> None:
        """So many bytes have been handed on."""
        self._passed += count

    def due(self, now: int) -> int:
        """How many bytes are through by now and have not been handed on."""
        return max((now - self._start) * self._baud // (BITS_PER_BYTE * 1_000_000_000) - self._passed, 0)

    def until(self, count: int, now: int) -> int:
        """How long until ``count`` more bytes are through [ns]."""
        return max(self._instant(self._passed + count) - now, 0)

    def _instant(self, count: int) -> int:
        # Rounded up, so that `due` counts the byte at exactly this instant.
        return self._start + -(-count * BITS_PER_BYTE * 1_000_000_000 // self._baud)
