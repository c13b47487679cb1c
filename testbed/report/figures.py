"""Plots as SVG text: response-time CDF, accuracy against target, a stretch of the timeline, energy.

Colours are Okabe and Ito's, which people with colour-blindness tell apart; line and marker styles differ too.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from testbed.report.rows import Analysis, Strip

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LETTER_IN = 0.085  # a letter of the tick labels, rather too wide than too narrow
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "testbed",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
}


def draw_figures(analysis: Analysis) -> dict[str, str]:
    """Title to SVG, for the plots that the run has data for."""
    made: dict[str, str] = {}
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # the stub wants literal keys
        if analysis.curves:
            made["Response time (from the intended arrival)"] = response_cdf(analysis)
        if any(
            t.target is not None and t.accuracy.value is not None
            for p in analysis.policies
            for t in p.targets
        ):
            made["Achieved accuracy against target"] = accuracy_against_target(analysis)
        for strip in analysis.strips:
            made[f"A stretch of the timeline: {strip.policy}"] = timeline(strip)
        if any(p.energy.net_mj is not None for p in analysis.policies):
            made["Energy per answered request"] = energy_bars(analysis)
    return made


def response_cdf(analysis: Analysis) -> str:
    """Share answered within a time, per policy."""
    figure, axes = blank(6.4, 3.6)
    low, high = np.inf, 0.0
    for place, curve in enumerate(analysis.curves):
        ms = np.asarray(curve.ms)
        axes.plot(
            ms,
            np.linspace(0, 1, ms.size),
            color=COLOURS[place % len(COLOURS)],
            linestyle=LINES[place % len(LINES)],
            linewidth=1.6,
            label=curve.policy,
        )
        positive = ms[ms > 0]
        low = min(low, float(positive.min())) if positive.size else low
        high = max(high, float(ms.max()))
    if high > 20 * low > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="response time [ms]", ylabel="share of answered requests", ylim=(0, 1.01))
    axes.legend(frameon=False, loc="lower right")
    return svg(figure)


def accuracy_against_target(analysis: Analysis) -> str:
    """Achieved against asked for, with intervals; on or above the diagonal is where to be."""
    figure, axes = blank(4.8, 4.0)
    everything: list[float] = []
    count = len(analysis.policies)
    for place, row in enumerate(analysis.policies):
        points = [
            (t.target, t.accuracy.value, t.accuracy.low, t.accuracy.high)
            for t in row.targets
            if t.target is not None and t.accuracy.value is not None
        ]
        if not points:
            continue
        target, value, low, high = (
            np.asarray(column, dtype=np.float64) for column in zip(*points, strict=True)
        )
        everything += [*target, *low, *high]
        axes.errorbar(
            target + (place - (count - 1) / 2) * 0.0015,
            value,
            yerr=np.stack([value - low, high - value]),
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            markersize=5,
            linestyle="none",
            capsize=3,
            label=row.policy,
        )
    span = (min(everything) - 0.02, min(1.0, max(everything) + 0.02))
    axes.plot(span, span, color="0.4", linewidth=1, zorder=0, label="target")
    axes.set(xlabel="accuracy asked for", ylabel="accuracy achieved (95 %)")
    axes.legend(frameon=False, loc="best")
    return svg(figure)


def timeline(strip: Strip) -> str:
    """What ran where: bars are executions, the thin line behind runs from arrival to the answer of that step."""
    lanes = {board: place for place, board in enumerate(strip.boards)}
    longest = max((len(board) for board in lanes), default=0)
    figure, axes = blank(8.0, 0.8 + 0.8 * max(1, len(lanes)), left=0.2 + _LETTER_IN * longest, top=0.35)
    for place, (board, lane) in enumerate(lanes.items()):
        bars = [bar for bar in strip.bars if bar.board == board]
        if not bars:
            continue
        level = lane + _levels([(bar.arrival_s, bar.answered_s) for bar in bars])
        colour = COLOURS[place % len(COLOURS)]
        arrival, answered = np.asarray([b.arrival_s for b in bars]), np.asarray([b.answered_s for b in bars])
        axes.hlines(level, arrival * 1e3, answered * 1e3, color=colour, alpha=0.35, linewidth=0.8)
        start, end = np.asarray([b.start_s for b in bars]), np.asarray([b.end_s for b in bars])
        axes.hlines(level, start * 1e3, end * 1e3, color=colour, linewidth=2.6)
    axes.set_yticks(list(lanes.values()), list(lanes))
    axes.set(xlabel="time within the stretch [ms]", ylim=(-0.5, len(lanes) - 0.5))
    axes.grid(visible=False, axis="y")
    axes.legend(
        handles=[Patch(color="0.3", label="executing"), Patch(color="0.8", label="arrival to answer")],
        frameon=False,
        loc="upper right",
        bbox_to_anchor=(1.0, 1.0 + 0.35 / (0.3 + 0.8 * max(1, len(lanes)))),
        borderaxespad=0.2,
        ncols=2,
    )
    return svg(figure)


def energy_bars(analysis: Analysis) -> str:
    """Net and gross energy a request, with the uncertainty of the net."""
    rows = [row for row in analysis.policies if row.energy.net_mj is not None]
    figure, axes = blank(4.8, 3.2)
    at = np.arange(len(rows))
    gross = [row.energy.gross_mj or 0.0 for row in rows]
    net = [row.energy.net_mj or 0.0 for row in rows]
    axes.bar(at + 0.2, gross, width=0.38, color="0.75", label="gross")
    axes.bar(
        at - 0.2,
        net,
        width=0.38,
        color=COLOURS[0],
        yerr=[row.energy.sigma_mj or 0.0 for row in rows],
        capsize=4,
        label="net of idle (± 1 sigma)",
    )
    axes.set_xticks(at, [row.policy for row in rows])
    axes.set_ylabel("mJ per answered request")
    axes.margins(y=0.25)
    axes.legend(frameon=False, loc="upper right", ncols=2)
    return svg(figure)


def _levels(spans: list[tuple[float, float]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Offsets within a lane so that overlapping requests lie on different levels, in -0.35 … 0.35."""
    free: list[float] = []
    level: list[int] = [0] * len(spans)
    for i in sorted(range(len(spans)), key=lambda i: spans[i][0]):
        for rank, until in enumerate(free):
            if until <= spans[i][0]:
                free[rank] = spans[i][1]
                level[i] = rank
                break
        else:
            level[i] = len(free)
            free.append(spans[i][1])
    return np.asarray(level) / max(1, len(free) - 1) * 0.7 - 0.35


def blank(width: float, height: float, *, left: float = 0.65, top: float = 0.1) -> tuple[Figure, Axes]:
    """Axes with margins in inches; a layout engine would draw everything twice to find them."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    figure.subplots_adjust(
        left=left / width, right=1 - 0.15 / width, bottom=0.5 / height, top=1 - top / height
    )
    return figure, figure.add_subplot()


def svg(figure: Figure) -> str:
    """Its SVG text, the same for the same figure."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
