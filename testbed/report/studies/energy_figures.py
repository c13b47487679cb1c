"""Plots of a study of energy per request against accuracy target: an axis for each task and thing metered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.report.figures import COLOURS, LINES, MARKERS, svg
from testbed.report.studies.energies import NO_MIX, of, origins_of, panels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from testbed.store.study import Study

Row = dict[str, Any]
WIDTH, HEIGHT = 6.4, 3.8
FEWEST = 6
"""Targets below which points say as much as a line."""


def draw_energy(study: Study) -> dict[str, str]:
    """Caption to SVG: energy against target for each task, energy against rate for each panel, power at rest."""
    made: dict[str, str] = {}
    boards = list(dict.fromkeys(row["board"] for row in of(study.rows, "idle")))
    panels = panels_of(study)
    for task in dict.fromkeys(task for task, _ in panels):
        kinds = [metered for of_task, metered in panels if of_task == task]
        text = (
            f"Energy of a request against the accuracy asked for, board alone, one after the other ({task}). "
            "Rings: two boards alike in energy; grey lines: alike in p50; both only where the rungs of both reach down."
        )
        edge = [row for row in of(study.rows, "edge") if row["task"] == task]
        made[caption(text, _each(edge))] = _against_target(study, task, kinds, boards)
    for task, metered in panels:
        rates = [row for row in of(study.rows, "rate") if (row["task"], row["metered"]) == (task, metered)]
        target = _middle(study, task)
        at = [row for row in rates if row["target"] == target]
        if len({row["board"] for row in at}) > 1:
            said = f"({task}, metered: {metered})"
            text = f"Energy of a request at {target * 100:g} % against the rate, waiting included {said}."
            made[caption(text, origins_of(at))] = _against_rate(at, boards)
    rest = of(study.rows, "idle")
    made[caption("Power at rest, apart: an axis for each thing metered.", origins_of(rest))] = _at_rest(study)
    return made


def caption(said: str, origins: str) -> str:
    """What a plot shows, and what its figures are worth."""
    return (
        f"{said} Origins: {origins}; none is emulated or simulated; the meters' uncertainty is assumed. "
        f"A ratio of two assumed profiles is no result. {NO_MIX}"
    )


def _each(edge: Sequence[Row]) -> str:
    """``gross energy derived, accuracy cited``, and so on."""
    names = {"accuracy": "accuracy", "p50": "p50", "power": "power", "gross": "gross energy"}
    return ", ".join(
        f"{text} {' or '.join(dict.fromkeys(row['origins'][name] for row in edge if name in row['origins'])) or 'none'}"
        for name, text in names.items()
    )


def _middle(study: Study, task: str) -> float:
    (spec,) = (one for one in study.spec["tasks"] if one["task"] == task)
    lines: list[float] = spec["shown"] or spec["targets"]
    return lines[(len(lines) - 1) // 2]


def _against_target(study: Study, task: str, kinds: Sequence[str], boards: Sequence[str]) -> str:
    """Side by side, and with an axis each, what is metered differently."""
    figure = Figure(figsize=(WIDTH + (1.8 if len(kinds) == 1 else 1.2 * len(kinds)), HEIGHT), layout="tight")
    FigureCanvasSVG(figure)
    for place, kind in enumerate(kinds):
        here = [row for row in study.rows if row["task"] == task and row.get("metered") == kind]
        axes = figure.add_subplot(1, len(kinds), place + 1)
        _mark_parity(axes, [row for row in of(here, "pair") if row["matched"]])
        _draw_boards(axes, of(here, "edge"), boards)
        axes.set(xlabel="accuracy asked for [%]", ylabel=f"gross energy of a request [mJ], metered: {kind}")
    return svg(figure)


def _draw_boards(axes: Axes, edge: Sequence[Row], boards: Sequence[str]) -> None:
    known = [row for row in edge if row["gross_mj"] is not None]
    there = [board for board in boards if any(row["board"] == board for row in known)]
    for board in there:
        mine = sorted((100 * row["target"], row["gross_mj"]) for row in known if row["board"] == board)
        few = len(mine) < FEWEST
        axes.plot(
            [target for target, _ in mine],
            [mj for _, mj in mine],
            **_style(boards.index(board)),
            drawstyle="default" if few else "steps-pre",
            markevery=1 if few else 5,
            markersize=6 if few else 4,
        )
    if len(there) > 1:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        _legend(axes, there, boards)
    else:
        axes.set_ylim(bottom=0)
        axes.set_title(", ".join(there), fontsize=9)


def _mark_parity(axes: Axes, pairs: Sequence[Row]) -> None:
    for row in pairs:
        x = 100 * row["target"]
        if "p50" in row["parity"]:
            axes.plot([x, x], [row["first_mj"], row["second_mj"]], color="#888888", linewidth=1.2, zorder=1)
        if "energy" in row["parity"]:
            middle = (row["first_mj"] * row["second_mj"]) ** 0.5
            axes.plot(x, middle, marker="o", markersize=9, markerfacecolor="none", color="#555555", zorder=3)


def _against_rate(rates: Sequence[Row], boards: Sequence[str]) -> str:
    figure, axes = _blank(WIDTH + 1.8, HEIGHT)
    known = [row for row in rates if row["request_mj"] is not None]
    for place, board in enumerate(boards):
        mine = sorted((row["rate_hz"], row["request_mj"]) for row in known if row["board"] == board)
        if mine:
            axes.plot([rate for rate, _ in mine], [mj for _, mj in mine], **_style(place), markersize=5)
    if known:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="requests a second", ylabel="energy of a request, waiting included [mJ]")
    _legend(axes, [board for board in boards if any(row["board"] == board for row in known)], boards)
    return svg(figure)


def _at_rest(study: Study) -> str:
    """Boards once each, in the panel of what is metered."""
    kinds: dict[str, dict[str, float]] = {}
    for row in of(study.rows, "idle"):
        levels = kinds.setdefault(row["metered"], {})
        levels[row["board"]] = max(row["idle_high_w"], levels.get(row["board"], 0.0))
    figure = Figure(
        figsize=(WIDTH, 0.75 * len(kinds) + 0.32 * sum(map(len, kinds.values())) + 0.4), layout="tight"
    )
    FigureCanvasSVG(figure)
    grid = figure.add_gridspec(len(kinds), 1, height_ratios=[1 + len(levels) for levels in kinds.values()])
    for place, (kind, levels) in enumerate(kinds.items()):
        axes = figure.add_subplot(grid[place])
        axes.barh(list(levels), list(levels.values()), color="#777777", height=0.6)
        axes.invert_yaxis()
        axes.set_xlabel(f"power at rest [W], metered: {kind}")
    return svg(figure)


def _blank(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="tight")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _style(place: int) -> dict[str, Any]:
    """Colour, marker and line of a board: two that share a colour differ in the others."""
    turn = place // len(COLOURS)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[(place + turn) % len(MARKERS)],
        "linestyle": LINES[turn % len(LINES)],
        "linewidth": 1.5,
    }


def _legend(axes: Axes, there: Sequence[str], boards: Sequence[str]) -> None:
    lines = [Line2D([], [], **_style(boards.index(board)), label=board) for board in there]
    if lines:
        axes.legend(handles=lines, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
