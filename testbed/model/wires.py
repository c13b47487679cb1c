"""The rate of a wire: constant, or as somebody recorded it. Arithmetic only; nothing here waits.

The same for the emulated network that real sockets run over and for boards in virtual time.
"""

from __future__ import annotations

import bisect
import itertools
import math
import operator
from typing import TYPE_CHECKING, Protocol

from testbed.units import Ns, S

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANCE_BYTES = 1504


class Wire(Protocol):
    """Says how long bytes take.

    Attributes:
        mean_bytes_per_s: over all time; ``inf`` where nothing limits.
    """

    @property
    def mean_bytes_per_s(self) -> float:
        """See above."""

    def through(self, start: Ns, size: int) -> Ns:
        """When the last of ``size`` bytes is on its way if the first begins at ``start``; ``start`` never falls."""


class Unlimited:
    """Takes no time."""

    mean_bytes_per_s = math.inf

    def through(self, start: Ns, size: int) -> Ns:
        """At once."""
        return start


class Constant:
    """The same rate for ever."""

    def __init__(self, bytes_per_s: float) -> None:
        """Give the rate, which is positive."""
        self.mean_bytes_per_s = bytes_per_s
        self._ns_per_byte = S / bytes_per_s

    def through(self, start: Ns, size: int) -> Ns:
        """Start plus size over rate."""
        return start + round(size * self._ns_per_byte)


class Steps:
    """A rate that changes at known instants, repeated.

    Attributes:
        period: after which it is repeated.
    """

    def __init__(self, begins: Sequence[Ns], bytes_per_s: Sequence[float], period: Ns) -> None:
        """Give the steps.

        Args:
            begins: of each step, from 0, rising, below ``period``. bytes_per_s: at least one is positive.
        """
        self._begins = [*begins, period]
        self._rates = list(bytes_per_s)
        self.period = period
        spans = [end - begin for begin, end in itertools.pairwise(self._begins)]
        self.mean_bytes_per_s = sum(map(operator.mul, self._rates, spans)) / period

    def through(self, start: Ns, size: int) -> Ns:
        """Walk through the steps until all bytes are gone."""
        now, left = start, float(size)
        place = bisect.bisect_right(self._begins, now % self.period) - 1
        while True:
            end = now - now % self.period + self._begins[place + 1]
            can = self._rates[place] * (end - now) / S
            if can >= left and self._rates[place] > 0:
                return now + round(left / self._rates[place] * S)
            left -= can
            now = end
            place = (place + 1) % len(self._rates)


class Chances:
    """Instants at which a packet's worth of bytes can leave, repeated.

    Attributes:
        period: after which they are repeated.
    """

    def __init__(self, at: Sequence[Ns], period: Ns) -> None:
        """Give the chances.

        Args:
            at: not falling, from 0 to ``period``, which is positive.
        """
        self._at = list(at)
        self.period = period
        self.mean_bytes_per_s = len(self._at) * CHANCE_BYTES * S / period
        self._next = 0
        self._left = 0

    def through(self, start: Ns, size: int) -> Ns:
        """Use up chances from the first one that is not over."""
        if self._when(self._next - 1) < start or self._next == 0:
            self._left = 0
            if self._when(self._next) < start:
                self._next = self._first_from(start)
        while self._left < size:
            self._left += CHANCE_BYTES
            self._next += 1
        self._left -= size
        return self._when(self._next - 1)

    def _when(self, place: int) -> Ns:
        rounds, inside = divmod(place, len(self._at))
        return rounds * self.period + self._at[inside]

    def _first_from(self, start: Ns) -> int:
        rounds, inside = divmod(start, self.period)
        return rounds * len(self._at) + bisect.bisect_left(self._at, inside)


class Later:
    """Another wire whose time zero lies in the past: a recording that is taken up in its middle."""

    def __init__(self, wire: Wire, passed: Ns) -> None:
        """Say how long the wire has been there already, which is not negative."""
        self.mean_bytes_per_s = wire.mean_bytes_per_s
        self._wire = wire
        self._passed = passed

    def through(self, start: Ns, size: int) -> Ns:
        """As the wire says of that much later."""
        return self._wire.through(start + self._passed, size) - self._passed
