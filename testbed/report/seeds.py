"""One experiment played with several seeds: how far each figure moves with the luck of the draw."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from testbed.report import words
from testbed.report.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.report.rows import Analysis

SCHEMA = 1
METRICS = ("p50_ms", "p99_ms", "accuracy", "offload_frac", "deadline_miss_frac", "net_mj")
Figures = dict[str, dict[str, float | None]]
"""By policy and metric; ``None`` where the run could not tell it."""


class Spread(Struct, frozen=True, kw_only=True):
    """A figure over seeds: median and range of the ``n`` seeds that could tell it; ``None`` if none could."""

    median: float | None
    low: float | None
    high: float | None
    n: int


def figures_of(analysis: Analysis) -> Figures:
    """What one seed contributes."""
    return {
        row.policy: {
            "p50_ms": row.p50_ms,
            "p99_ms": row.p99_ms.value,
            "accuracy": row.accuracy.value,
            "offload_frac": row.offload_frac,
            "deadline_miss_frac": row.deadline_miss_frac,
            "net_mj": row.energy.net_mj,
        }
        for row in analysis.policies
    }


def combine(by_seed: Sequence[Figures]) -> dict[str, dict[str, Spread]]:
    """Median and range over seeds, by policy and metric."""
    policies = dict.fromkeys(policy for figures in by_seed for policy in figures)
    return {
        policy: {
            metric: _spread([figures.get(policy, {}).get(metric) for figures in by_seed])
            for metric in METRICS
        }
        for policy in policies
    }


def _spread(values: Sequence[float | None]) -> Spread:
    known = [value for value in values if value is not None]
    if not known:
        return Spread(median=None, low=None, high=None, n=0)
    return Spread(median=median(known), low=min(known), high=max(known), n=len(known))


def seeds_table(combined: Mapping[str, Mapping[str, Spread]], seeds: Sequence[int]) -> Table:
    """One row per policy."""
    return Table(
        title=f"Over {len(seeds)} seeds ({seeds[0]} to {seeds[-1]}): median [lowest, highest]",
        head=("policy", "p50 ms", "p99 ms", "accuracy", "offloaded", "missed", "net mJ a request"),
        body=tuple(
            (policy, *(_cell(metrics[metric], percent="_frac" in metric or metric == "accuracy") for metric in METRICS))
            for policy, metrics in combined.items()
        ),
        remarks=("the range is of whole runs: what another draw of arrivals, inputs and service times changes",),
    )  # fmt: skip


def _cell(spread: Spread, *, percent: bool) -> str:
    write = words.percent if percent else words.number
    if spread.median is None:
        return words.NONE
    return f"{write(spread.median)} [{write(spread.low)}, {write(spread.high)}]"


def seeds_to_json(
    documents: Mapping[int, dict[str, Any]], combined: Mapping[str, Mapping[str, Spread]]
) -> dict[str, Any]:
    """What ``testbed run --virtual-time --seeds N --json`` prints: the document of each run, then all together."""
    return {
        "schema": SCHEMA,
        "seeds": [{"seed": seed, **document} for seed, document in documents.items()],
        "combined": {
            policy: {
                metric: {"median": s.median, "range": None if s.n == 0 else [s.low, s.high], "n": s.n}
                for metric, s in metrics.items()
            }
            for policy, metrics in combined.items()
        },
    }
