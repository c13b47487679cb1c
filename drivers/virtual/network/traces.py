"""The rate of a wire: constant, or as somebody recorded it.

Formats: **csv** with a header and the columns ``t_s`` (rising from 0) and ``rate_kbit``, each rate holding until the
next row and the last one for as long as the row before it; **mahimahi** (``mm-link``): one integer per line, the
millisecond at which 1,504 bytes can be delivered; several of the same are several chances; a chance that nobody uses is
lost. Both are repeated from the start when they end.

Source: mm-link(1) of mahimahi (Netravali et al., USENIX ATC 2015).
"""

from __future__ import annotations

import bisect
import csv
from typing import TYPE_CHECKING, Protocol

from testbed.errors import ConfigError
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHANCE_BYTES = 1504


class Wire(Protocol):
    """Says how long bytes take."""

    def through(self, start: Ns, size: int) -> Ns:
        """When the last of ``size`` bytes is on its way if the first begins at ``start``; ``start`` never falls."""


class Unlimited:
    """Takes no time."""

    def through(self, start: Ns, size: int) -> Ns:
        """At once."""
        return start


class Constant:
    """The same rate for ever."""

    def __init__(self, bytes_per_s: float) -> None:
        """Give the rate, which is positive."""
        self._ns_per_byte = S / bytes_per_s

    def through(self, start: Ns, size: int) -> Ns:
        """Start plus size over rate."""
        return start + round(size * self._ns_per_byte)


class Steps:
    """A rate that changes at known instants, repeated."""

    def __init__(self, begins: Sequence[Ns], bytes_per_s: Sequence[float], period: Ns) -> None:
        """Give the steps.

        Args:
            begins: of each step, from 0, rising, below ``period``. bytes_per_s: at least one is positive.
        """
        self._begins = [*begins, period]
        self._rates = list(bytes_per_s)
        self._period = period

    def through(self, start: Ns, size: int) -> Ns:
        """Walk through the steps until all bytes are gone."""
        now, left = start, float(size)
        place = bisect.bisect_right(self._begins, now % self._period) - 1
        while True:
            end = now - now % self._period + self._begins[place + 1]
            can = self._rates[place] * (end - now) / S
            if can >= left and self._rates[place] > 0:
                return now + round(left / self._rates[place] * S)
            left -= can
            now = end
            place = (place + 1) % len(self._rates)


class Chances:
    """Instants at which a packet's worth of bytes can leave, repeated."""

    def __init__(self, at: Sequence[Ns], period: Ns) -> None:
        """Give the chances.

        Args:
            at: not falling, from 0 to ``period``, which is positive.
        """
        self._at = list(at)
        self._period = period
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
        return rounds * self._period + self._at[inside]

    def _first_from(self, start: Ns) -> int:
        rounds, inside = divmod(start, self._period)
        return rounds * len(self._at) + bisect.bisect_left(self._at, inside)


def read_trace(file: Path) -> Steps | Chances:
    """Read a trace by its ending: ``.csv``, anything else is mahimahi's.

    Raises:
        ConfigError: it cannot be read, has a line that is none, or never lets anything through.
    """
    try:
        lines = file.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the trace cannot be read: {error}", file=file, key="trace") from error
    return _csv(file, lines) if file.suffix == ".csv" else _mahimahi(file, lines)


def _csv(file: Path, lines: list[str]) -> Steps:
    rows = csv.DictReader(lines)
    if set(rows.fieldnames or ()) < {"t_s", "rate_kbit"}:
        raise _wrong(file, 1, "the header needs the columns t_s and rate_kbit")
    begins: list[Ns] = []
    rates: list[float] = []
    for number, row in enumerate(rows, start=2):
        try:
            at, rate = round(float(row["t_s"]) * S), float(row["rate_kbit"])
        except (TypeError, ValueError) as error:
            raise _wrong(file, number, "no numbers in t_s and rate_kbit") from error
        if (begins and at <= begins[-1]) or rate < 0:
            raise _wrong(file, number, "times must rise and rates must not be negative")
        begins.append(at)
        rates.append(rate * 1e3 / 8)
    if len(begins) < 2 or not any(rates):
        raise _wrong(file, len(lines), "needs two rows and a rate above 0")
    begins = [at - begins[0] for at in begins]
    return Steps(begins, rates, begins[-1] + (begins[-1] - begins[-2]))


def _mahimahi(file: Path, lines: list[str]) -> Chances:
    at: list[Ns] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip().isdigit():
            raise _wrong(file, number, "each line is a whole number of milliseconds")
        at.append(int(line) * MS)
        if len(at) > 1 and at[-1] < at[-2]:
            raise _wrong(file, number, "milliseconds must not fall")
    if not at or at[-1] == 0:
        raise _wrong(file, len(lines), "the last line is the period and must be above 0")
    return Chances(at, at[-1])


def _wrong(file: Path, line: int, why: str) -> ConfigError:
    return ConfigError(f"line {line}: {why}", file=file, key="trace", cure="See the docstring of the formats")
