"""What each meter of each board said over the load of a trial, and whether two on one board agree."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.measure.energy import EnergyBook, Idle, Span
from testbed.measure.trace import total_trace
from testbed.model.energy import Energy
from testbed.model.ids import BoardId
from testbed.model.origin import Origin
from testbed.report.rows import CrossRow, MeterRow
from testbed.store.schema import IDLE_AFTER, IDLE_BEFORE, LOAD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.measure.clocksync import ClockBook
    from testbed.model.record import Alignment
    from testbed.store.reader import Attempt

WIDEST_FIRST = ("wall", "board", "rail", "chip", None)
BEYOND = 2.0
"""So many combined standard uncertainties apart, two meters disagree (GUM 6.3.3: about 95 % of them are nearer)."""


class Reading(Struct, frozen=True, kw_only=True):
    """One meter over the load of one trial.

    Attributes:
        kind: what it covers (chip, rail, board, wall), ``None`` where nobody said.
        load: the load window, and the trace behind the figures; ``None`` where one of them is missing.
    """

    board: BoardId
    meter: str
    kind: str | None
    energy: Energy
    idle: Idle
    load: Span | None = None
    book: EnergyBook | None = None


def readings(attempt: Attempt, clocks: ClockBook) -> dict[BoardId, tuple[Reading, ...]]:
    """All meters of every metered board; first the one whose figure stands for the board.

    That is the one that covers most, among those with a figure; among equals the surest.
    """
    found: dict[BoardId, list[Reading]] = {}
    for board, meter in sorted({(block.board, block.meter) for block in attempt.power}):
        found.setdefault(board, []).append(_read(attempt, clocks, board, meter))
    return {board: tuple(sorted(each, key=_rank)) for board, each in found.items()}


def meter_rows(attempt: Attempt, found: dict[BoardId, tuple[Reading, ...]]) -> Iterable[MeterRow]:
    """One row per meter."""
    for each in found.values():
        for place, reading in enumerate(each):
            energy, idle = reading.energy, reading.idle
            before, after = (
                (idle.windows_w[0], idle.windows_w[-1]) if len(idle.windows_w) > 1 else (idle.power_w, None)
            )
            yield MeterRow(
                trial=attempt.start.trial,
                policy=attempt.start.policy,
                board=reading.board,
                meter=reading.meter,
                metered=reading.kind or "",
                used=place == 0,
                gross_j=energy.gross_j,
                net_j=energy.net_j,
                sigma_j=energy.sigma_j,
                sigma_gross_j=energy.sigma_gross_j,
                idle_before_w=before,
                idle_after_w=after,
                idle_drift_w=idle.drift_w,
                samples=energy.samples,
                covered_frac=energy.covered_frac,
                gap_frac=energy.gap_frac,
                budget=energy.budget,
                aligned=alignments(attempt, reading.board, reading.meter),
                reason=energy.reason,
            )


def cross_checks(attempt: Attempt, found: dict[BoardId, tuple[Reading, ...]]) -> Iterable[CrossRow]:
    """Every two meters of a board that both have a figure.

    Meters that cover the same must show the same net and gross energy: what disagrees most, in combined standard
    uncertainties, is told. One that covers less must not show more gross energy than one that covers more. Those of
    which nobody said what they cover are not compared.
    """
    for each in found.values():
        telling = [reading for reading in each if reading.energy.gross_j is not None and reading.kind]
        for one, two in itertools.combinations(telling, 2):
            alike = one.kind == two.kind
            both = (one.energy, two.energy)
            gross = _apart([(e.gross_j, e.sigma_gross_j) for e in both])
            net = _apart([(e.net_j, e.sigma_j) for e in both]) if alike else None
            of_net = net is not None and (gross is None or _beyond(net) > _beyond(gross))
            difference, sigma = (net if of_net else gross) or (0.0, 0.0)
            yield CrossRow(
                trial=attempt.start.trial,
                board=one.board,
                meters=(one.meter, two.meter),
                metered=(one.kind or "", two.kind or ""),
                compared="net" if of_net else "gross",
                difference_j=difference,
                sigma_j=sigma,
                agree=(abs(difference) if alike else difference) <= BEYOND * sigma,
            )


def alignments(attempt: Attempt, board: BoardId, meter: str) -> tuple[Alignment, ...]:
    """What load patterns told of a meter's stamps during a trial."""
    told = attempt.end.aligned if attempt.end is not None else ()
    return tuple(a for a in told if (a.board, a.meter) == (board, meter))


def _apart(values: list[tuple[float | None, float | None]]) -> tuple[float, float] | None:
    """Second less first [J] and the standard uncertainty of that; ``None`` where one is missing."""
    (first, _), (second, _) = values
    if first is None or second is None:
        return None
    return second - first, math.hypot(*(sigma or 0.0 for _, sigma in values))


def _beyond(apart: tuple[float, float]) -> float:
    difference, sigma = apart
    return abs(difference) / sigma if sigma > 0 else math.inf if difference else 0.0


def _rank(reading: Reading) -> tuple[bool, int, float, str]:
    sigma = reading.energy.sigma_j
    return (
        reading.energy.gross_j is None,
        WIDEST_FIRST.index(reading.kind),
        math.inf if sigma is None else sigma,
        reading.meter,
    )


def _read(attempt: Attempt, clocks: ClockBook, board: BoardId, meter: str) -> Reading:
    facts = next((f for f in attempt.boards if f.id == board), None)
    traits = facts.meters.get(meter) if facts is not None else None
    kind = traits.metered if traits is not None else None
    blocks = [block for block in attempt.power if (block.board, block.meter) == (board, meter)]
    trace = total_trace(blocks, clocks, traits, alignments(attempt, board, meter))
    load = attempt.window(LOAD)
    if isinstance(trace, str) or load is None:
        why = trace if isinstance(trace, str) else "the trial has no load window"
        return Reading(
            board=board, meter=meter, kind=kind, energy=_nothing(why), idle=Idle(power_w=None, reason=why)
        )
    book = EnergyBook(trace)
    quiet = [w for name in (IDLE_BEFORE, IDLE_AFTER) if (w := attempt.window(name)) is not None]
    idle = book.idle([(w.start, w.end) for w in quiet])
    span = (load.start, load.end)
    return Reading(
        board=board,
        meter=meter,
        kind=kind,
        energy=book.energy(span, idle),
        idle=idle,
        load=span,
        book=book,
    )


def _nothing(reason: str) -> Energy:
    return Energy(
        gross_j=None, idle_j=None, sigma_j=None, scope="nothing", origin=Origin.MEASURED, reason=reason
    )
