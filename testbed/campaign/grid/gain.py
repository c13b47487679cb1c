"""How much lower the P99 of one contender is than that of the best baseline that keeps the accuracy."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.campaign.grid.cells import Cell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.campaign.grid.tally import GridRow


class Gain(Struct, frozen=True, kw_only=True):
    """One cell under one seed.

    Attributes:
        gain: P99 of the best baseline over ours; ``None`` where no baseline meets the targets, or ours does not.
        best: that baseline, or why there is no gain.
    """

    cell: Cell
    seed: int
    gain: float | None
    best: str


def gains(rows: Iterable[GridRow], subject: str) -> list[Gain]:
    """A gain for every cell and seed that has the subject, in their order."""
    found: dict[tuple[Cell, int], list[GridRow]] = {}
    for row in rows:
        found.setdefault((row.cell, row.seed), []).append(row)
    return [_gain(cell, seed, of_cell, subject) for (cell, seed), of_cell in found.items()]


def figures(rows: list[GridRow], point: Cell, subject: str) -> dict[str, float]:
    """At the operating point, medians over seeds: the gain of each of ours, and the subject's as ``p99_gain``."""
    here = [row for row in rows if row.cell == point]
    found: dict[str, float] = {}
    for name in dict.fromkeys(row.policy for row in here if row.ours):
        known = [g.gain for g in gains(here, name) if g.gain is not None]
        if known:
            found[f"p99_gain_{name}"] = statistics.median(known)
    if f"p99_gain_{subject}" in found:
        found["p99_gain"] = found[f"p99_gain_{subject}"]
    surface = [g.gain for g in gains(rows, subject) if g.gain is not None]
    if surface:
        found["cells_with_gain_below_1"] = float(sum(gain < 1.0 for gain in surface))
        found["cells"] = float(len({row.cell for row in rows}))
    return found


def _gain(cell: Cell, seed: int, rows: list[GridRow], subject: str) -> Gain:
    ours = next((row for row in rows if row.policy == subject), None)
    able = [row for row in rows if not row.ours and row.meets and row.p99_ms is not None]
    if ours is None or ours.p99_ms is None or not ours.meets:
        return Gain(cell=cell, seed=seed, gain=None, best=f"{subject} does not meet the targets")
    if not able:
        return Gain(cell=cell, seed=seed, gain=None, best="no baseline meets the targets")
    best = min(able, key=lambda row: row.p99_ms or 0.0)
    assert best.p99_ms is not None
    return Gain(cell=cell, seed=seed, gain=best.p99_ms / ours.p99_ms, best=best.policy)
