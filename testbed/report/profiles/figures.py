"""Plots of hardware profiles as SVG text: fronts of accuracy, service time and energy; both against the batch.

Energies that are metered differently never share axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from testbed.report.figures import COLOURS, MARKERS, SETTINGS, svg

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from testbed.report.profiles.compare import BatchRow, Point, ProfileComparison

    Panel = Callable[[Axes], None]

WIDTH, HEIGHT = 4.6, 3.6
FEWEST = 3
"""Models of a task below which a table tells as much as a plot."""
WIDE = 8.0
"""Ratio of largest to smallest above which an axis is logarithmic."""


def draw_profiles(found: ProfileComparison) -> dict[str, str]:
    """Title to SVG, one per task and one for batches."""
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # the stub wants literal keys
        return {title: svg(_figure([panels])) for title, panels in _rows(found).items()}


def picture(found: ProfileComparison) -> str:
    """All of them in one SVG, a row each."""
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        return svg(_figure(list(_rows(found).values())))


def front_line(points: Sequence[Point], worth: Callable[[Point], float]) -> list[tuple[float, float]]:
    """Corners of the front of accuracy against one price, cheapest first."""
    best, corners = float("-inf"), []
    for point in sorted(points, key=lambda p: (worth(p), -p.accuracy)):
        if point.accuracy > best:
            best = point.accuracy
            corners.append((worth(point), point.accuracy))
    return corners


def _rows(found: ProfileComparison) -> dict[str, list[Panel]]:
    names = [subject.name for subject in found.subjects]
    made: dict[str, list[Panel]] = {}
    for task, metric in sorted({(point.task, point.metric) for point in found.points}):
        of = [point for point in found.points if (point.task, point.metric) == (task, metric)]
        if len(of) < FEWEST:
            continue
        panels = [_front_panel(of, names, metric, "service time, p50 [ms]", lambda p: p.ms)]
        for kind in sorted({point.kind for point in of if point.energy_mj is not None}):
            mine = [point for point in of if point.energy_mj is not None and point.kind == kind]
            label = f"energy of an inference [mJ], metered: {kind or 'not said'}"
            panels.append(_front_panel(mine, names, metric, label, lambda p: p.energy_mj or 0.0))
        made[f"{task}: accuracy, service time and energy"] = panels
    if found.batches:
        panels = [_batch_panel(found.batches, names, "service time of a batch, p50 [ms]", lambda row: row.ms)]
        for kind in sorted({row.kind for row in found.batches if row.energy_mj is not None}):
            rows = [row for row in found.batches if row.energy_mj is not None and row.kind == kind]
            label = f"energy of an item [mJ], metered: {kind or 'not said'}"
            panels.append(_batch_panel(rows, names, label, lambda row: row.energy_mj or 0.0))
        made["Service time and energy against the batch"] = panels
    return made


def _front_panel(
    points: Sequence[Point], names: Sequence[str], metric: str, label: str, worth: Callable[[Point], float]
) -> Panel:
    def draw(axes: Axes) -> None:
        for place, name in enumerate(names):
            mine = [point for point in points if point.subject == name]
            if not mine:
                continue
            colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
            axes.plot(
                [worth(point) for point in mine],
                [point.accuracy for point in mine],
                color=colour,
                marker=marker,
                markersize=4,
                linestyle="none",
                alpha=0.35,
            )
            corners = front_line(mine, worth)
            axes.plot(
                [x for x, _ in corners],
                [y for _, y in corners],
                color=colour,
                marker=marker,
                markersize=5,
                linewidth=1.2,
                drawstyle="steps-post",
                label=name,
            )
        prices = [worth(point) for point in points]
        if min(prices) > 0 and max(prices) > WIDE * min(prices):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        axes.set(xlabel=label, ylabel=f"accuracy ({metric}), {points[0].task.rpartition('/')[2]}")
        axes.legend(frameon=False, loc="lower right", fontsize=7)

    return draw


def _batch_panel(
    rows: Sequence[BatchRow], names: Sequence[str], label: str, value: Callable[[BatchRow], float]
) -> Panel:
    def draw(axes: Axes) -> None:
        series = sorted({(row.subject, row.model) for row in rows})
        for place, (subject, model) in enumerate(series):
            mine = [row for row in rows if (row.subject, row.model) == (subject, model)]
            axes.plot(
                [row.batch for row in mine],
                [value(row) for row in mine],
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[names.index(subject) % len(MARKERS)],
                markersize=5,
                label=f"{subject}: {model}",
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(xlabel="batch", ylabel=label)
        axes.legend(frameon=False, loc="best", fontsize=7)

    return draw


def _figure(rows: Sequence[Sequence[Panel]]) -> Figure:
    across = max((len(panels) for panels in rows), default=1)
    figure = Figure(figsize=(WIDTH * across, HEIGHT * max(len(rows), 1)), layout="tight")
    FigureCanvasSVG(figure)
    for down, panels in enumerate(rows):
        for place, draw in enumerate(panels):
            draw(figure.add_subplot(max(len(rows), 1), across, down * across + place + 1))
    return figure
