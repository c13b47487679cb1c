"""At which round trip one of two contenders stops being better, and what sending takes over which radio."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from testbed.campaign.grid.cells import Cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.campaign.grid.tally import GridRow

QUANTILES = ("p50", "p99")
Side = Literal["nowhere", "everywhere", "below", "above", "changes more than once"]


class Pair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two contenders.

    Attributes:
        one, other: by name; the other is better where its quantile is lower by more than ``margin_frac`` of one's.
    """

    one: str
    other: str
    margin_frac: float = 0.02


class Radio(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What sending takes on top of what the device draws anyway.

    Attributes:
        up_mw_per_mbit_s: power per rate, which is energy per size: 1 mW per Mbit/s is 1 mJ per Mbit.
        sigma: its standard error. source: who measured it, and what it leaves out.
    """

    up_mw_per_mbit_s: float
    source: str
    sigma: float | None = None

    def energy_mj(self, bytes_: float) -> float:
        """Of so many bytes sent [mJ]."""
        return self.up_mw_per_mbit_s * bytes_ * 8 / 1e6


class Crossover(Struct, frozen=True, kw_only=True):
    """One quantile under one seed, over the round trips of cells that are alike otherwise.

    Attributes:
        cell: the one with the shortest round trip.
        better: where the other is. rtt_ms: of the crossover, linear between two cells; ``None`` without one.
        ratios: of the quantiles, other over one, by round trip; ``None`` where one of them is late for ever.
    """

    cell: Cell
    quantile: str
    seed: int
    better: Side
    rtt_ms: float | None
    ratios: tuple[tuple[float, float | None], ...]


def crossovers(rows: Iterable[GridRow], pair: Pair) -> list[Crossover]:
    """One for every quantile, seed and group of cells that has both contenders."""
    groups: dict[tuple[Cell, int], dict[str, dict[float, GridRow]]] = {}
    for row in rows:
        if row.policy in (pair.one, pair.other):
            group = groups.setdefault((row.cell.elsewhere(0.0), row.seed), {pair.one: {}, pair.other: {}})
            group[row.policy][row.cell.rtt_ms] = row
    found = []
    for (cell, seed), group in groups.items():
        trips = sorted(group[pair.one].keys() & group[pair.other].keys())
        if not trips:
            continue
        for name in QUANTILES:
            ratios = [_ratio(group[pair.one][rtt], group[pair.other][rtt], name) for rtt in trips]
            better, at = _where(trips, ratios, 1.0 - pair.margin_frac)
            found.append(
                Crossover(
                    cell=cell.elsewhere(trips[0]),
                    quantile=name,
                    seed=seed,
                    better=better,
                    rtt_ms=at,
                    ratios=tuple(
                        (rtt, ratio if 0.0 < ratio < math.inf else None)
                        for rtt, ratio in zip(trips, ratios, strict=True)
                    ),
                )
            )
    return found


def _ratio(one: GridRow, other: GridRow, quantile: str) -> float:
    """Other over one; 0 or ``inf`` where one of them is late for ever, 1 where both are."""
    a, b = getattr(one, f"{quantile}_ms"), getattr(other, f"{quantile}_ms")
    if a is None:
        return 1.0 if b is None else 0.0
    return math.inf if b is None else b / a


def _where(trips: Sequence[float], ratios: Sequence[float], limit: float) -> tuple[Side, float | None]:
    """On which side of which round trip the ratio is below the limit."""
    better = [ratio < limit for ratio in ratios]
    changes = [i for i, (a, b) in enumerate(itertools.pairwise(better)) if a != b]
    if not changes:
        return ("everywhere" if better[0] else "nowhere"), None
    if len(changes) > 1:
        return "changes more than once", None
    i = changes[0]
    low, high = ratios[i], ratios[i + 1]
    part = 0.5 if math.inf in (low, high) or 0.0 in (low, high) else (limit - low) / (high - low)
    return ("below" if better[0] else "above"), trips[i] + part * (trips[i + 1] - trips[i])


def crossover_figures(
    rows: list[GridRow], point: Cell, pair: Pair, radios: Mapping[str, Radio]
) -> dict[str, float]:
    """At the operating point: crossover over its seeds, ratios, and what each contender sends.

    The least and the largest of five seeds enclose the median of all seeds with 94 % confidence (1 - 2 / 2^5).
    """
    found: dict[str, float] = {}
    here = [row for row in rows if row.cell == point]
    alike = [row for row in rows if row.cell.elsewhere(0.0) == point.elsewhere(0.0)]
    for name in QUANTILES:
        lines = [line for line in crossovers(alike, pair) if line.quantile == name]
        known = [line.rtt_ms for line in lines if line.rtt_ms is not None]
        found[f"crossover_{name}_seeds"] = float(len(known))
        if known:
            found[f"crossover_{name}_rtt_ms"] = statistics.median(known)
            found[f"crossover_{name}_rtt_ms_least"] = min(known)
            found[f"crossover_{name}_rtt_ms_largest"] = max(known)
        for side in ("nowhere", "everywhere"):
            found[f"better_{side}_{name}_seeds"] = float(sum(line.better == side for line in lines))
        at_point = [dict(line.ratios).get(point.rtt_ms) for line in lines]
        ratios = [ratio for ratio in at_point if ratio is not None]
        if ratios:
            found[f"{name}_frac"] = statistics.median(ratios)
    for policy in dict.fromkeys(row.policy for row in here):
        of_policy = [row for row in here if row.policy == policy]
        sent = statistics.median(row.uplink_bytes for row in of_policy)
        found[f"uplink_bytes_{policy}"] = sent
        for radio, slope in radios.items():
            found[f"radio_mj_{radio}_{policy}"] = slope.energy_mj(sent)
    return found
