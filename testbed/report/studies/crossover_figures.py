"""Plots of a grid over the way to the data centre, as SVG text."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from testbed.report.figures import COLOURS, LINES, MARKERS, blank, svg
from testbed.report.studies.crossovers import level

if TYPE_CHECKING:
    from testbed.store.study import Study


def draw_crossovers(study: Study) -> dict[str, str]:
    """P99 over the round trip, one plot an uplink, the rest as at the operating point; title to SVG."""
    if not study.spec.get("crossover"):
        return {}
    point = study.spec["operating"]
    fixed = [name for name in point if name not in ("rtt_ms", "uplink")]
    trials = [
        row
        for row in study.rows
        if row["what"] == "trial" and all(row["cell"].get(name) == point[name] for name in fixed)
    ]
    return {
        f"P99 by round trip, uplink {uplink}": _lines(
            [row for row in trials if level(row["cell"], "uplink") == uplink]
        )
        for uplink in dict.fromkeys(level(row["cell"], "uplink") for row in trials)
    }


def _lines(rows: list[dict[str, Any]]) -> str:
    figure, axes = blank(6.4, 3.6)
    for place, policy in enumerate(dict.fromkeys(row["policy"] for row in rows)):
        of_policy = [row for row in rows if row["policy"] == policy]
        trips = sorted({row["cell"]["rtt_ms"] for row in of_policy})
        seeds = [[row["p99_ms"] for row in of_policy if row["cell"]["rtt_ms"] == rtt] for rtt in trips]
        known = [(rtt, values) for rtt, values in zip(trips, seeds, strict=True) if None not in values]
        axes.errorbar(
            [rtt for rtt, _ in known],
            middle := [statistics.median(values) for _, values in known],
            yerr=[
                [m - min(values) for m, (_, values) in zip(middle, known, strict=True)],
                [max(values) - m for m, (_, values) in zip(middle, known, strict=True)],
            ],
            color=COLOURS[place % len(COLOURS)],
            linestyle=LINES[place % len(LINES)],
            marker=MARKERS[place % len(MARKERS)],
            capsize=2,
            label=policy if known else f"{policy}: never",
        )
    axes.set(xlabel="round trip [ms]", ylabel="P99 [ms]")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False)
    return svg(figure)
