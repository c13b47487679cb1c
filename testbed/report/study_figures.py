"""Plots of studies, as SVG text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

from testbed.report.figures import COLOURS, LINES, MARKERS, SETTINGS, blank, svg

if TYPE_CHECKING:
    from testbed.store.study import Study


def draw_study(study: Study) -> dict[str, str]:
    """Title to SVG, for the kinds that have a plot."""
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # the stub wants literal keys
        return _DRAWN[study.kind](study) if study.kind in _DRAWN else {}


def _splits(study: Study) -> dict[str, str]:
    figure, axes = blank(6.4, 3.6)
    plain = [row for row in study.rows if row["weight"] == 1.0 and row["promised"]]
    frontends = list(dict.fromkeys(row["frontend"] for row in plain))
    for place, z in enumerate(study.spec["z"]):
        for mark, frontend in enumerate(frontends):
            rows = [row for row in plain if row["z"] == z and row["frontend"] == frontend]
            axes.plot(
                [100 * row["target"] for row in rows],
                [100 * row["misses"] / row["promised"] for row in rows],
                color=COLOURS[place % len(COLOURS)],
                linestyle=LINES[place % len(LINES)],
                marker=MARKERS[mark % len(MARKERS)],
                label=f"z = {z:g}, {frontend}",
            )
    axes.set(xlabel="accuracy promised [%]", ylabel="splits that missed it [%]")
    axes.legend(frameon=False)
    return {"Promises missed": svg(figure)}


_DRAWN = {"splits": _splits}
