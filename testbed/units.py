"""Time as integer nanoseconds, and the few conversions that go with it.

Every time in the project is ``Ns``; every other number carries its unit in its name
(``_w _j _hz _c _bytes _v _a``, ratios ``_frac``).
"""

from __future__ import annotations

from typing import TypeAlias

Ns: TypeAlias = int
"""Nanoseconds; an instant on the coordinator's monotonic clock unless a name says otherwise."""

US: Ns = 1_000
MS: Ns = 1_000_000
S: Ns = 1_000_000_000


def from_s(seconds: float) -> Ns:
    """Seconds to nanoseconds, rounded to nearest."""
    return round(seconds * S)


def from_ms(milliseconds: float) -> Ns:
    """Milliseconds to nanoseconds, rounded to nearest."""
    return round(milliseconds * MS)


def to_s(ns: float) -> float:
    """Nanoseconds to seconds."""
    return ns / S


def to_ms(ns: float) -> float:
    """Nanoseconds to milliseconds."""
    return ns / MS
