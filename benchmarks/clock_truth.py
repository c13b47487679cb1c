"""What the clock benchmark injects, and how a clock book is held against it. Knows no board and reads no clock."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from drivers.virtual.machine.clock import SkewedClock
from testbed.measure.clocksync import fit_clocks
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.measure.clocksync import ClockFit, Segment
    from testbed.model.record import ClockProbe

Event = Literal["", "step", "reboot"]

DRIFT_PPM = 100.0
"""Drawn within plus or minus this: twice what crystals are sold with."""
OFFSET_S = 3600.0
STEP_S = (0.005, 5.0)
"""Smallest and largest step, drawn evenly on a logarithmic scale, with either sign."""
WITHIN: Ns = 20 * MS
"""A stamp's instant is known to lie within up to so much on either side: when it was sent, when answered."""
AROUND: Ns = S // 2
"""Stamps before the first and after the last probe are converted too, this far."""


class Gap(Struct, frozen=True, kw_only=True):
    """What happens between two bursts of probes: wait, then an event of the clock (or none), then wait again."""

    before_s: float
    event: Event
    step_s: float
    after_s: float


class Pattern(Struct, frozen=True, kw_only=True):
    """How a board lives.

    Attributes:
        gaps: between bursts of probes. every_s: their mean length.
        eventful: a step in every second gap, and one reboot in the middle third; else none.
    """

    gaps: int
    every_s: float
    eventful: bool


class Plan(Struct, frozen=True, kw_only=True):
    """One board's life."""

    offset_ms: float
    drift_ppm: float
    gaps: tuple[Gap, ...]


class Epoch(Struct, frozen=True, kw_only=True):
    """From one host instant to another the board's clock was known: its offset, and the connection it was read by."""

    start: Ns
    end: Ns
    offset: Ns
    boot: int
    event: Event = ""


class Judged(Struct, frozen=True, kw_only=True):
    """Conversions against the truth, and events against what was found; arrays have one entry per instant.

    Attributes:
        error, bound: [ns]; where nothing could be converted the bound is -1.
        rtt: the smallest round trip on that connection, as its probes stamped it, line time taken off [ns].
        open: between the last probe before an event of the clock and the first after it.
        missed: steps and reboots that left no trace. false_alarms: cuts and connections without an event.
    """

    error: NDArray[np.int64]
    bound: NDArray[np.int64]
    rtt: NDArray[np.int64]
    open: NDArray[np.bool_]
    steps: int
    missed_steps: int
    reboots: int
    missed_reboots: int
    false_alarms: int


def draw_plan(rng: np.random.Generator, pattern: Pattern) -> Plan:
    """A clock, and what is done to it between its probes."""
    gaps = pattern.gaps
    reboot = int(rng.integers(gaps // 3, max(2 * gaps // 3, gaps // 3 + 1))) if pattern.eventful else -1
    drawn = []
    for place in range(gaps):
        first, second = rng.uniform(0.15, 0.85, 2) * pattern.every_s
        step: Event = "step" if pattern.eventful and rng.random() < 0.5 else ""
        size = float(np.exp(rng.uniform(*np.log(STEP_S)))) * (1 if rng.random() < 0.5 else -1)
        event: Event = "reboot" if place == reboot else step
        drawn.append(Gap(before_s=float(first), event=event, step_s=size, after_s=float(second)))
    return Plan(
        offset_ms=float(rng.uniform(-OFFSET_S, OFFSET_S)) * 1e3,
        drift_ppm=float(rng.uniform(-DRIFT_PPM, DRIFT_PPM)),
        gaps=tuple(drawn),
    )


def judge(
    probes: Sequence[ClockProbe],
    epochs: Sequence[Epoch],
    drift_ppb: int,
    rng: np.random.Generator,
    instants: int,
) -> Judged:
    """Convert stamps of drawn instants as a report would, and look for every event.

    Args:
        probes: of one board, at least one.
        epochs: of that board, in order; each event lies between one epoch and the next.
        instants: drawn evenly over the probes' time and a little around it, where the truth is known.
    """
    order = sorted(probes, key=lambda p: p.t0)
    book = fit_clocks(order)
    board = order[0].board
    sent = np.asarray([p.t0 for p in order])
    rtts = {boot: min(_rtt(p) for p in order if p.boot == boot) for boot in {p.boot for p in order}}
    begin, end = order[0].t0 - AROUND, order[-1].t3 + AROUND
    drawn = np.sort(rng.integers(begin, end, instants))
    times, error, bound, rtt = [], [], [], []
    for epoch in epochs:  # while an event was happening nobody knows the truth either
        at = drawn[(drawn >= epoch.start) & (drawn <= epoch.end)]
        stamps = np.asarray([_board_time(t, epoch.offset, drift_ppb) for t in at.tolist()], dtype=np.int64)
        within = at - rng.integers(0, WITHIN, at.size), at + rng.integers(0, WITHIN, at.size)
        found = book.convert(board, epoch.boot, stamps, within)
        times.append(at)
        error.append(np.zeros_like(at) if found is None else np.abs(found[0] - at))
        bound.append(np.full_like(at, -1) if found is None else found[1])
        rtt.append(np.full_like(at, rtts.get(epoch.boot, 0)))
    events = np.asarray([e.start for e in epochs if e.event], dtype=np.int64)
    # Between which two probes: the same as an event's?
    places, of_events = np.searchsorted(sent, np.concatenate(times)), np.searchsorted(sent, events)
    steps = [e for e in epochs if e.event == "step"]
    reboots = [e for e in epochs if e.event == "reboot"]
    # Two steps in one cut are one too few found.
    found_steps = len({cut for e in steps for cut in _cuts(book.fits.get((board, e.boot)), e.start)})
    found_reboots = sum(_reconnected(order, e.start) for e in reboots)
    connections = len({p.boot for p in order})
    cuts = sum(fit.jumps for fit in book.fits.values())
    return Judged(
        error=np.concatenate(error),
        bound=np.concatenate(bound),
        rtt=np.concatenate(rtt),
        open=np.isin(places, of_events),
        steps=len(steps),
        missed_steps=len(steps) - found_steps,
        reboots=len(reboots),
        missed_reboots=len(reboots) - found_reboots,
        false_alarms=cuts - found_steps + connections - 1 - found_reboots,
    )


def _board_time(at: Ns, offset: Ns, drift_ppb: int) -> Ns:
    """What a virtual board's clock shows at a host instant."""
    return SkewedClock(offset=lambda: offset, drift_ppb=drift_ppb, host=lambda: at).now_ns()


def _rtt(probe: ClockProbe) -> Ns:
    """What the probe was on the way, line time taken off [ns]."""
    return (probe.t3 - probe.t0) - (probe.t2 - probe.t1) - probe.wire_up - probe.wire_down


def _cuts(fit: ClockFit | None, at: Ns) -> list[tuple[Segment, Segment]]:
    """Where one segment ends before this instant and the next begins after it."""
    segments = fit.segments if fit is not None else ()
    return [(a, b) for a, b in itertools.pairwise(segments) if a.end < at < b.start]


def _reconnected(order: Sequence[ClockProbe], at: Ns) -> bool:
    """The probes before and after this instant are of different connections."""
    return any(a.t0 < at <= b.t0 and a.boot != b.boot for a, b in itertools.pairwise(order))
