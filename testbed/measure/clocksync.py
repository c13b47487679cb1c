"""Puts a board's clock on the coordinator's, with a bound that holds.

A probe has four stamps: sent t0 and answered t3 by the coordinator, received t1 and sent back t2 by the board. With
the modelled line time of its bytes taken off (t0 += wire_up, t3 -= wire_down), the offset board - coordinator is
((t1 - t0) + (t2 - t3)) / 2, wrong by at most half the round trip r = (t3 - t0) - (t2 - t1), however unequal the ways.

A delay holds up one way of a probe and seldom both, so the probes of a short window together say more than the best of
them: each puts the offset into an interval of width r, and it lies in all of them. Their intersection, at the instant
of the window's best probe, is an *anchor*; a line is fitted through the anchors. At one the line is off the truth by
at most its residual and half the anchor's interval. The truth is a line too while the drift is constant, so between
two anchors the error is at most on the line through theirs, whatever lies between (hence the lower convex hull), and
beyond the last it grows at most as the line through both ends' worst cases. A wander allowance for drift that is not
constant is added with the distance to the nearest anchor.

A reboot starts a new fit (stamps compare only within one boot); a jump of the clock starts a new segment. A probe
that the board held for longer than it was on the way altogether met a jump itself, and tells nothing.

Source: RFC 5905 (NTP v4) section 8 for the offset and its error, section 11.2.1 for the intersection of intervals,
there of several servers (Marzullo's algorithm).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.units import Ns, S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from testbed.model.record import ClockProbe

    Within = tuple[NDArray[np.int64], NDArray[np.int64]]

WINDOW: Ns = 1 * S
"""Each such window gives one anchor: a burst of probes does."""
MAX_DRIFT_PPB = 200_000
"""No pair of crystals in working order drifts faster (10-50 ppm each is usual); faster is a jump."""
WANDER_PPB = 1_000
"""Change of drift with temperature over a run, allowed for between anchors."""
COORDINATOR = -1
"""Boot number of stamps that are on the coordinator's clock already."""
_EVER: Ns = 1 << 62


class Segment(Struct, frozen=True, kw_only=True):
    """One stretch without jumps: board = t + offset + drift * (t - origin), t on the coordinator's clock.

    Attributes:
        origin: where ``offset`` is stated, coordinator's clock; start, end: first and last probe there.
        drift_ppb: the board's clock gains this many ns per second.
        anchors: coordinator instants, increasing; errors: bound of the fit at each [ns].
        probes: how many were heard. min_rtt: the smallest round trip, line time taken off.
    """

    origin: Ns
    offset: Ns
    drift_ppb: float
    start: Ns
    end: Ns
    anchors: tuple[Ns, ...]
    errors: tuple[float, ...]
    probes: int
    min_rtt: Ns
    extrapolation_ppb: float

    @property
    def bound(self) -> Ns:
        """Largest bound between the first and the last anchor."""
        inner = np.diff(np.asarray(self.anchors)).max() * WANDER_PPB / 2e9 if len(self.anchors) > 1 else 0.0
        return int(np.ceil(max(self.errors) + inner))

    def to_coordinator(self, board: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Coordinator instants and their bounds for board stamps, both int64 of the same shape [ns]."""
        since = (board - self.origin - self.offset).astype(np.float64)
        t = self.origin + np.rint(since / (1 + self.drift_ppb / 1e9)).astype(np.int64)
        return t, self.bounds_at(t)

    def bounds_at(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bound of the conversion at coordinator instants [ns]."""
        at = np.asarray(self.anchors, dtype=np.int64)
        errors = np.asarray(self.errors)
        since = (t - at[0]).astype(np.float64)
        places = (at - at[0]).astype(np.float64)
        inside = np.interp(since, places, errors)
        beyond = np.maximum(0.0, np.maximum(-since, since - places[-1]))
        after = np.clip(np.searchsorted(at, t), 1, max(1, at.size - 1))
        nearest = (
            np.minimum(np.abs(since - places[after - 1]), np.abs(since - places[after]))
            if at.size > 1
            else np.abs(since)
        )
        total = inside + beyond * self.extrapolation_ppb / 1e9 + nearest * WANDER_PPB / 1e9 + 1.0
        bounds: NDArray[np.int64] = np.ceil(total).astype(np.int64)
        return bounds


class ClockFit(Struct, frozen=True, kw_only=True):
    """A board's clock during one boot; several segments where it jumped."""

    board: str
    boot: int
    segments: tuple[Segment, ...]

    @property
    def jumps(self) -> int:
        """How often the clock jumped."""
        return len(self.segments) - 1

    def to_coordinator(
        self, board: NDArray[np.int64], within: Within | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Coordinator instants and bounds for board stamps, int64 [ns].

        Where the clock jumped, nobody saw when: from the last probe of one segment to the first of the next either
        line may hold, and a clock that jumped back tells some times twice. The bound spans all possible readings.

        Args:
            board: stamps of the board, shape (n,).
            within: earliest and latest coordinator instant of each, e.g. when an action was sent and answered.
        """
        if len(self.segments) == 1:
            return self.segments[0].to_coordinator(board)
        each = [segment.to_coordinator(board) for segment in self.segments]
        times = np.stack([t for t, _ in each])
        bounds = np.stack([b for _, b in each])
        starts = np.asarray([[s.start] for s in self.segments])
        ends = np.asarray([[s.end] for s in self.segments])
        first = np.vstack([[[-_EVER]], ends[:-1]])
        last = np.vstack([starts[1:], [[_EVER]]])
        if within is not None:
            first, last = np.maximum(first, within[0]), np.minimum(last, within[1])
        outside = np.maximum(first - times, times - last) - bounds
        possible = outside <= 0
        # What fits nowhere (it jumped twice between two probes, say) is read by the line that comes closest.
        lost = ~possible.any(axis=0)
        far = np.maximum(0, np.maximum(starts - times, times - ends))
        choice = np.where(possible, far, np.where(lost, outside, _EVER)).argmin(axis=0)
        t = times[choice, np.arange(board.size)]
        return t, np.where(possible | lost, np.abs(times - t) + bounds, 0).max(axis=0)


_IDENTITY = Segment(
    origin=0,
    offset=0,
    drift_ppb=0.0,
    start=0,
    end=0,
    anchors=(0,),
    errors=(0.0,),
    probes=0,
    min_rtt=0,
    extrapolation_ppb=0.0,
)


class ClockBook(Struct, frozen=True):
    """All fits of a trial, by board and boot."""

    fits: dict[tuple[str, int], ClockFit]

    def convert(
        self, board: str, boot: int, stamps: NDArray[np.int64], within: Within | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Coordinator instants and bounds (see `ClockFit.to_coordinator`), ``None`` if that boot was never probed."""
        if boot == COORDINATOR:
            return stamps, np.zeros(stamps.shape, dtype=np.int64)
        fit = self.fits.get((board, boot))
        return None if fit is None else fit.to_coordinator(stamps, within)


def fit_clocks(probes: Iterable[ClockProbe]) -> ClockBook:
    """Fit every board and boot found among the probes, in any order."""
    groups: dict[tuple[str, int], list[ClockProbe]] = {}
    for probe in probes:
        groups.setdefault((probe.board, probe.boot), []).append(probe)
    return ClockBook({key: fit_clock(group) for key, group in groups.items()})


def fit_clock(probes: Sequence[ClockProbe], *, window: Ns = WINDOW) -> ClockFit:
    """Fit one boot of one board.

    Args:
        probes: at least one, all of one board and boot.

    Raises:
        ValueError: there is no probe, or they are of several boards or boots.
    """
    if len({(p.board, p.boot) for p in probes}) != 1:
        raise ValueError("a clock fit needs probes of exactly one board and boot")
    credible = [p for p in probes if (p.t2 - p.t1) * (1 - MAX_DRIFT_PPB / 1e9) <= p.t3 - p.t0 + 1]
    order = sorted(credible or probes, key=lambda p: p.t0 + p.t3)
    t0 = np.asarray([p.t0 + p.wire_up for p in order], dtype=np.int64)
    t1 = np.asarray([p.t1 for p in order], dtype=np.int64)
    t2 = np.asarray([p.t2 for p in order], dtype=np.int64)
    t3 = np.asarray([p.t3 - p.wire_down for p in order], dtype=np.int64)
    middle = t0 + (t3 - t0) // 2
    # Twice the offset, and twice the half round trip, stay exact integers.
    double = (t1 - t0) + (t2 - t3)
    # The board's own pause is timed by a clock that may drift: count the little it may hide.
    pause = ((t2 - t1) * (MAX_DRIFT_PPB / 1e9)).astype(np.int64) + 1
    rtt = np.maximum((t3 - t0) - (t2 - t1), 0) + pause
    return ClockFit(
        board=order[0].board,
        boot=order[0].boot,
        segments=tuple(
            _fit(middle[a:b], double[a:b], rtt[a:b], window) for a, b in _stretches(middle, double, rtt)
        ),
    )


def _stretches(
    middle: NDArray[np.int64], double: NDArray[np.int64], rtt: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Probes from and up to which the clock did not jump.

    Two probes contradict each other where no offset lies within both their bounds, even at the largest drift: between
    them it jumped. Those in between that contradict neither side, a burst that met a busy link say, are in no stretch.
    """
    found: list[tuple[int, int]] = []
    first = 0
    for i in range(1, middle.size):
        gap = np.abs(double[i] - double[first:i]) / 2
        room = (rtt[i] + rtt[first:i]) / 2 + (middle[i] - middle[first:i]) * (MAX_DRIFT_PPB / 1e9) + 2
        against = np.flatnonzero(gap > room)
        if against.size:
            found.append((first, first + int(against[-1]) + 1))
            first = i
    return [*found, (first, middle.size)]


def _fit(middle: NDArray[np.int64], double: NDArray[np.int64], rtt: NDArray[np.int64], window: Ns) -> Segment:
    """A line through one anchor of each window, and its bound at each of them."""
    at, base, low, high = _anchors(middle, double, rtt, window)
    y, half = (low + high) / 2, np.abs(high - low) / 2
    # A window that met a busy link tells little: leave it out where two good ones remain.
    good = half <= 3 * half.min() + 500
    if good.sum() >= 2 or at.size < 2:
        at, y, half = at[good], y[good], half[good]
    origin = int(at[0])
    x = (at - origin).astype(np.float64)
    if at.size == 1:
        slope, level = 0.0, float(y[0])
        extrapolation = float(MAX_DRIFT_PPB)
    else:
        weight = 1.0 / (half + 500.0) ** 2
        mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
        slope = float((weight * (x - mean_x) * (y - mean_y)).sum() / (weight * (x - mean_x) ** 2).sum())
        slope = float(np.clip(slope, -MAX_DRIFT_PPB / 1e9, MAX_DRIFT_PPB / 1e9))
        level = float(mean_y - slope * mean_x)
        extrapolation = 0.0
    errors = _lowered(x, np.abs(level + slope * x - y) + half + 1.0)
    if at.size > 1:
        # The worst line through both ends' errors, but never worse than not having fitted the drift at all.
        worst = (errors[0] + errors[-1]) / (x[-1] - x[0]) * 1e9
        extrapolation = float(min(worst, MAX_DRIFT_PPB + abs(slope) * 1e9))
    return Segment(
        origin=origin,
        offset=base + round(level),
        drift_ppb=slope * 1e9,
        start=int(middle[0]),
        end=int(middle[-1]),
        anchors=tuple(int(m) for m in at),
        errors=tuple(float(e) for e in errors),
        probes=int(middle.size),
        min_rtt=int(rtt.min()),
        extrapolation_ppb=extrapolation,
    )


def _anchors(
    middle: NDArray[np.int64], double: NDArray[np.int64], rtt: NDArray[np.int64], window: Ns
) -> tuple[NDArray[np.int64], int, NDArray[np.float64], NDArray[np.float64]]:
    """For each window the instant of its best probe, and between what the offset there lies for all of its probes.

    Returns:
        the instants; an offset that the others count from; lowest and highest offset [ns].
    """
    bins = (middle - middle[0]) // window
    ranked = np.lexsort((rtt, bins))
    _, first, count = np.unique(bins[ranked], return_index=True, return_counts=True)
    at = middle[ranked[first]]
    # Other probes of the window speak of the best one's instant as far as the clock can have drifted in between.
    away = np.abs(middle - np.repeat(at, count)) + rtt // 2
    slack = rtt / 2 + away * (MAX_DRIFT_PPB / 1e9)
    base = int(double[0]) // 2
    y = (double - 2 * base) / 2
    return at, base, np.maximum.reduceat(y - slack, first), np.minimum.reduceat(y + slack, first)


def _lowered(x: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bounds at anchors, where better ones on both sides tell more than the anchor itself: their lower convex hull."""
    hull: list[int] = []
    for i in range(x.size):
        while len(hull) > 1:
            a, b = hull[-2:]
            if (errors[b] - errors[a]) * (x[i] - x[a]) < (errors[i] - errors[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    places = x[hull]
    nearest = np.abs(x[:, None] - places[None, :]).min(axis=1)
    lowered: NDArray[np.float64] = np.minimum(
        errors, np.interp(x, places, errors[hull]) + nearest * WANDER_PPB / 1e9
    )
    return lowered
