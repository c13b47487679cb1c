"""Energy counters: the mean power between two readings, over wraps and resets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import SampleError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_W = 20_000.0
"""No rail that these counters watch draws more; a larger figure is a reset taken for a wrap, or nonsense."""
_LONGEST_NS = 60_000_000_000


class Counters:
    """Several counters read together; a sample is stamped when it is read, and stands for the time since the last."""

    def __init__(self, joules: Sequence[float], ranges: Sequence[float | None]) -> None:
        """Take counts of ``joules`` each [J], beginning again at 0 after ``ranges`` counts, ``None``: never."""
        self._joules = joules
        self._ranges = ranges
        self._counts: Sequence[int] = ()
        self._at = 0

    @property
    def fresh(self) -> bool:
        """Whether there is no reading to count from."""
        return not self._counts

    def forget(self) -> None:
        """The next reading only begins."""
        self._counts = ()

    def begin(self, at: int, counts: Sequence[int]) -> None:
        """Count from here on; ``at`` is its stamp [ns]."""
        self._at, self._counts = at, counts

    def advance(self, at: int, counts: Sequence[int]) -> list[float]:
        """Mean watts since the last reading.

        Raises:
            SampleError: a counter went back that does not wrap, or more was drawn than can be.
        """
        seconds, before = (at - self._at) / 1e9, self._counts
        stale = at - self._at > _LONGEST_NS  # it may have wrapped more than once meanwhile
        self.begin(at, counts)
        if seconds <= 0 or stale:
            raise SampleError(SampleError.GARBAGE, f"{seconds:g} s between two readings of a counter")
        watts = []
        for old, new, joules, wrap in zip(before, counts, self._joules, self._ranges):
            count = new - old
            if count < 0 and wrap is not None:
                count += round(wrap)
            watt = count * joules / seconds
            if not 0 <= watt <= MOST_W:
                raise SampleError(SampleError.GARBAGE, f"a counter went from {old} to {new} in {seconds:g} s")
            watts.append(watt)
        return watts
