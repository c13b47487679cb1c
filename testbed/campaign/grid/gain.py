"""How much lower the P99 of one contender is than that of the best baseline that keeps the accuracy.

Who keeps the accuracy is a property of a policy in a cell, so all seeds together say it: judged seed by seed, a few
thousand requests would now and then let a baseline pass that misses a target by two points, or fail one that keeps it.
The gain itself is taken seed by seed, on the same arrivals.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.campaign.grid.cells import Cell
from testbed.campaign.grid.tally import ENOUGH_ANSWERED
from testbed.measure.stats import wilson_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.campaign.grid.tally import GridRow


class Gain(Struct, frozen=True, kw_only=True):
    """One cell under one seed.

    Attributes:
        gain: P99 of the best baseline over ours; ``None`` where no baseline keeps the accuracy, or ours does not.
        best: that baseline, or why there is no gain.
        missed_frac: of our requests, those answered late or never; ``None`` where ours was not played.
    """

    cell: Cell
    seed: int
    gain: float | None
    best: str
    missed_frac: float | None = None


def keeps_accuracy(rows: Sequence[GridRow]) -> bool:
    """Whether a policy in a cell, over all its seeds, has no target wholly below, and answers 99 %.

    A target is wholly below if the upper end of the 95 % interval of the answers' accuracy is. What counts as evidence
    is different inputs: of ``m`` labelled ones each seed shows ``d`` at random, so all seeds together are expected to
    show ``m (1 - prod(1 - d / m))``.
    """
    if sum(row.answered for row in rows) < ENOUGH_ANSWERED * sum(row.requests for row in rows):
        return False
    for target in {t.target for row in rows for t in row.targets}:
        same = [(t, row.drawn_from) for row in rows for t in row.targets if t.target == target]
        answered = sum(t.answered for t, _ in same)
        if not answered:
            return False
        pool = max(m for _, m in same)
        different = pool * (1.0 - math.prod(1.0 - t.different / pool for t, _ in same))
        upper = wilson_of(sum(t.right for t, _ in same) / answered, answered, different).high
        if upper is None or upper < target:
            return False
    return True


def gains(rows: Iterable[GridRow], subject: str) -> list[Gain]:
    """A gain for every cell and seed, in their order."""
    cells: dict[Cell, dict[int, list[GridRow]]] = {}
    for row in rows:
        cells.setdefault(row.cell, {}).setdefault(row.seed, []).append(row)
    found = []
    for cell, seeds in cells.items():
        by_policy: dict[str, list[GridRow]] = {}
        for of_seed in seeds.values():
            for row in of_seed:
                by_policy.setdefault(row.policy, []).append(row)
        able = {name for name, of_policy in by_policy.items() if keeps_accuracy(of_policy)}
        found += [_gain(cell, seed, of_seed, subject, able) for seed, of_seed in seeds.items()]
    return found


def figures(rows: list[GridRow], point: Cell, subject: str) -> dict[str, float]:
    """At the operating point, medians over seeds: the gain of each of ours, and the subject's as ``p99_gain``.

    Beside it what a gain must not hide: requests late or never (``missed_frac_…``), those that got no answer, and
    seeds and targets whose accuracy lay wholly below.
    """
    here = [row for row in rows if row.cell == point]
    found: dict[str, float] = {}
    for name in dict.fromkeys(row.policy for row in here if row.ours):
        known = [g.gain for g in gains(here, name) if g.gain is not None]
        if known:
            found[f"p99_gain_{name}"] = statistics.median(known)
        if known and name == subject:
            found["p99_gain"] = statistics.median(known)
            found |= {"p99_gain_least": min(known), "p99_gain_largest": max(known)}
            found["p99_gain_seeds"] = float(len(known))
    for name in dict.fromkeys(row.policy for row in here):
        of_policy = [row for row in here if row.policy == name]
        targets = [target for row in of_policy for target in row.targets]
        found[f"missed_frac_{name}"] = statistics.median(row.missed_frac for row in of_policy)
        found[f"unanswered_frac_{name}"] = statistics.median(
            1 - row.answered / row.requests for row in of_policy
        )
        found[f"keeps_accuracy_{name}"] = float(keeps_accuracy(of_policy))
        if targets:
            found[f"targets_below_frac_{name}"] = sum(not t.reached for t in targets) / len(targets)
    surface = _surface(rows, subject)
    if surface:
        found["cells_with_gain_below_1"] = float(sum(gain < 1.0 for gain in surface))
        found["cells_with_gain"] = float(len(surface))
        found["cells"] = float(len({row.cell for row in rows}))
    return found


def _surface(rows: list[GridRow], subject: str) -> list[float]:
    """Median gain of every cell that has one."""
    cells: dict[Cell, list[float]] = {}
    for gain in gains(rows, subject):
        if gain.gain is not None:
            cells.setdefault(gain.cell, []).append(gain.gain)
    return [statistics.median(known) for known in cells.values()]


def _gain(cell: Cell, seed: int, rows: list[GridRow], subject: str, able: set[str]) -> Gain:
    ours = next((row for row in rows if row.policy == subject), None)
    missed = None if ours is None else ours.missed_frac
    baselines = [row for row in rows if not row.ours and row.policy in able and row.p99_ms is not None]
    if ours is None or ours.p99_ms is None or subject not in able:
        why = f"{subject} does not keep the accuracy"
        return Gain(cell=cell, seed=seed, gain=None, best=why, missed_frac=missed)
    if not baselines:
        why = "no baseline keeps the accuracy"
        return Gain(cell=cell, seed=seed, gain=None, best=why, missed_frac=missed)
    best = min(baselines, key=lambda row: row.p99_ms or 0.0)
    assert best.p99_ms is not None
    return Gain(cell=cell, seed=seed, gain=best.p99_ms / ours.p99_ms, best=best.policy, missed_frac=missed)
