"""Boards against each other at one accuracy target: ratios where both are metered alike, bounds where they are not."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.campaign.energy.rungs import Rung, cheapest, drawn_w
from testbed.model.origin import Origin, weakest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.campaign.energy.rungs import Panel
    from testbed.campaign.energy.spec import EnergyStudy

SPREAD = 1.96
"""Standard uncertainties to either side of a 95 % interval."""

INWARD = ("wall", "board", "rail", "chip")
"""What is metered, from the whole to its parts: each includes all that follow it."""


class PairRow(Struct, frozen=True, kw_only=True, tag_field="row", tag="pair"):
    """Two boards of a panel at one target; the first one needs at least as much energy as the second.

    Attributes:
        energy_ratio: gross, first over second, with a 95 % interval; ``None`` with ``reason`` where both are assumed.
        one_stack_ratio: ``energy_ratio`` with each board held to its first folder of profiles; ``None`` where that
            changes nothing to choose from, or does not reach the target.
        net_ratio, p50_ratio, power_ratio: first over second; of the same two rungs, power while at work.
        matched: whether the rungs of both boards reach down to the target.
        parity: which of ``energy`` and ``p50`` are alike.
        even_hz: requests a second at which both draw the same, each with the rung that then is best; ``None`` if none.
        headline: names of the figures that this row is.
    """

    task: str
    metered: str
    target: float
    first: str
    second: str
    first_model: str
    second_model: str
    first_mj: float
    second_mj: float
    energy_ratio: float | None
    energy_low: float | None
    energy_high: float | None
    one_stack_ratio: float | None
    net_ratio: float | None
    p50_ratio: float
    power_ratio: float
    matched: bool
    parity: tuple[str, ...]
    even_hz: float | None
    origin: Origin
    reason: str = ""
    headline: tuple[str, ...] = ()


class BoundRow(Struct, frozen=True, kw_only=True, tag_field="row", tag="bound"):
    """Two boards of one task, of which less is metered on the first, and that needs more all the same.

    Attributes:
        at_least: energy of the first over that of the second, if both were metered like the second.
        accuracy_points: second minus first, in percentage points; sigma_points: its standard uncertainty, if known.
        matched: whether the rungs of both boards reach down to the target.
    """

    task: str
    target: float
    first: str
    second: str
    first_metered: str
    second_metered: str
    first_model: str
    second_model: str
    first_mj: float
    second_mj: float
    at_least: float
    accuracy_points: float
    sigma_points: float | None
    matched: bool
    origin: Origin
    headline: tuple[str, ...] = ()


def pair_rows(panel: Panel, study: EnergyStudy) -> list[PairRow]:
    """Every two boards at every target that both reach."""
    rows = []
    for target in panel.task.targets:
        for one, other in itertools.combinations(panel.boards, 2):
            a, b = (cheapest(panel.boards[name], target) for name in (one, other))
            if a is None or b is None:
                continue
            first, second = (one, other) if a.gross_mj >= b.gross_mj else (other, one)
            rows.append(_pair(panel, target, first, second, study))
    return rows


def bound_rows(panels: Sequence[Panel], max_excess: float) -> list[BoundRow]:
    """What can be said across what is metered: a whole that needs less than a part of another board."""
    rows = []
    for part, whole in itertools.permutations(panels, 2):
        if (part.task.task, part.metric) != (whole.task.task, whole.metric):
            continue
        if INWARD.index(part.kind) <= INWARD.index(whole.kind):
            continue
        for target in part.task.targets:
            for first, second in itertools.product(part.boards, whole.boards):
                a, b = cheapest(part.boards[first], target), cheapest(whole.boards[second], target)
                if first == second or a is None or b is None or a.gross_mj <= b.gross_mj:
                    continue
                known = a.sigma is not None and b.sigma is not None
                rows.append(
                    BoundRow(
                        task=part.task.task,
                        target=target,
                        first=first,
                        second=second,
                        first_metered=part.kind,
                        second_metered=whole.kind,
                        first_model=f"{a.profiles}/{a.model}",
                        second_model=f"{b.profiles}/{b.model}",
                        first_mj=a.gross_mj,
                        second_mj=b.gross_mj,
                        at_least=a.gross_mj / b.gross_mj,
                        accuracy_points=(b.accuracy - a.accuracy) * 100,
                        sigma_points=100 * math.hypot(a.sigma or 0, b.sigma or 0) if known else None,
                        matched=all(
                            counts_at(rungs, target, max_excess)
                            for rungs in (part.boards[first], whole.boards[second])
                        ),
                        origin=weakest([a.origin, b.origin]),
                    )
                )
    return rows


def counts_at(rungs: Sequence[Rung], target: float, max_excess: float) -> bool:
    """Whether a board's rungs reach down to a target, so that the cheapest one is a choice and not all there is."""
    lowest = min(rung.accuracy for rung in rungs)
    return lowest - target <= max_excess + 1e-12


def even_hz(
    first: Iterable[Rung], second: Iterable[Rung], target: float, max_utilisation: float
) -> float | None:
    """Requests a second at which two boards draw the same power, if both keep up with so many.

    Each takes the rung of least net energy; the one that rests at less power draws less below this rate. ``None`` too
    where the levels at rest cannot be told apart.
    """
    best = []
    for rungs in (first, second):
        known = [r for r in rungs if r.accuracy >= target and r.net_mj is not None and r.idle_w is not None]
        if not known:
            return None
        best.append(min(known, key=lambda rung: (drawn_w(rung, 1.0), rung.model)))
    a, b = best
    assert a.net_mj is not None
    assert b.net_mj is not None
    assert a.idle_w is not None
    assert b.idle_w is not None
    unsure_w = SPREAD * math.hypot(a.idle_sigma_w or 0.0, b.idle_sigma_w or 0.0)
    if abs(a.idle_w - b.idle_w) <= unsure_w or (a.idle_w - b.idle_w) * (b.net_mj - a.net_mj) <= 0:
        return None
    rate = (a.idle_w - b.idle_w) / (b.net_mj - a.net_mj) * 1e3
    return rate if rate * max(a.busy_s, b.busy_s) <= max_utilisation else None


def _pair(panel: Panel, target: float, first: str, second: str, study: EnergyStudy) -> PairRow:
    a, b = cheapest(panel.boards[first], target), cheapest(panel.boards[second], target)
    assert a is not None
    assert b is not None
    both_assumed = a.origin is b.origin is Origin.ASSUMED
    low, high = _interval(panel, target, first, second)
    ratio, p50 = a.gross_mj / b.gross_mj, a.p50_ms / b.p50_ms
    net = a.net_mj / b.net_mj if a.net_mj is not None and b.net_mj else None
    alike = {"energy": ratio, "p50": max(p50, 1 / p50)}
    return PairRow(
        task=panel.task.task,
        metered=panel.kind,
        target=target,
        first=first,
        second=second,
        first_model=f"{a.profiles}/{a.model}",
        second_model=f"{b.profiles}/{b.model}",
        first_mj=a.gross_mj,
        second_mj=b.gross_mj,
        energy_ratio=None if both_assumed else ratio,
        energy_low=None if both_assumed else low,
        energy_high=None if both_assumed else high,
        one_stack_ratio=None if both_assumed else _one_stack(panel, target, first, second),
        net_ratio=None if both_assumed else net,
        p50_ratio=p50,
        power_ratio=a.active_w / b.active_w,
        matched=all(counts_at(panel.boards[name], target, study.max_excess) for name in (first, second)),
        parity=() if both_assumed else tuple(k for k, by in alike.items() if by <= 1 + study.parity_frac),
        even_hz=even_hz(panel.boards[first], panel.boards[second], target, study.max_utilisation),
        origin=weakest([a.origin, b.origin]),
        reason="both are assumed: their ratio is no result" if both_assumed else "",
    )


def _one_stack(panel: Panel, target: float, first: str, second: str) -> float | None:
    """How much a ratio is one of stacks shows when the choice of them is taken away."""
    held = []
    for name in (first, second):
        rungs = panel.boards[name]
        held.append([rung for rung in rungs if rung.profiles == rungs[0].profiles])
    if all(len(mine) == len(panel.boards[name]) for mine, name in zip(held, (first, second), strict=True)):
        return None
    a, b = (cheapest(mine, target) for mine in held)
    return None if a is None or b is None else a.gross_mj / b.gross_mj


def _interval(panel: Panel, target: float, first: str, second: str) -> tuple[float, float]:
    """95 % interval of a ratio: of the meters, around the ratios at targets as far off as accuracies are uncertain.

    The target is moved for both together: their accuracies are of the same test set.
    """
    chosen = [cheapest(panel.boards[name], target) for name in (first, second)]
    off = SPREAD * max((rung.sigma or 0.0 for rung in chosen if rung is not None), default=0.0)
    lows, highs = [], []
    for shifted in (target - off, target, target + off):
        a, b = cheapest(panel.boards[first], shifted), cheapest(panel.boards[second], shifted)
        if a is not None and b is not None:
            spread = math.exp(SPREAD * math.hypot(a.gross_frac, b.gross_frac))
            lows.append(a.gross_mj / b.gross_mj / spread)
            highs.append(a.gross_mj / b.gross_mj * spread)
    return min(lows), max(highs)
