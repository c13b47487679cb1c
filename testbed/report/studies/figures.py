"""Plots of studies, as SVG text."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import matplotlib as mpl

from testbed.report.figures import COLOURS, LINES, MARKERS, SETTINGS, blank, svg
from testbed.report.studies.crossover_figures import draw_crossovers
from testbed.report.studies.energy_figures import draw_energy

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


def _grid(study: Study) -> dict[str, str]:
    """Gain over load, a line for each round trip; with the most targets."""
    figure, axes = blank(6.4, 3.6)
    subject = study.spec["subject"]
    gains = [
        r for r in study.rows if r["what"] == "gain" and r["subject"] == subject and r["gain"] is not None
    ]
    most = max((r["cell"]["levels"] for r in gains), default=0)
    for place, rtt in enumerate(sorted({r["cell"]["rtt_ms"] for r in gains})):
        of_rtt = [r for r in gains if r["cell"]["rtt_ms"] == rtt and r["cell"]["levels"] == most]
        loads = sorted({r["cell"]["load"] for r in of_rtt})
        axes.plot(
            loads,
            [statistics.median(r["gain"] for r in of_rtt if r["cell"]["load"] == load) for load in loads],
            color=COLOURS[place % len(COLOURS)],
            linestyle=LINES[place % len(LINES)],
            marker=MARKERS[place % len(MARKERS)],
            label=f"{rtt:g} ms round trip",
        )
    axes.axhline(1.0, color="0.5", linewidth=0.8)
    axes.set(
        xlabel="load (of what the data centre alone could serve)", ylabel="P99 of the best baseline / ours"
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    if gains:
        axes.legend(frameon=False)
    return {f"Gain of {subject}, {most} targets": svg(figure)} | draw_crossovers(study)


def _loss(study: Study) -> dict[str, str]:
    """Accuracy over loss at the edge by fill, and of the mixture by threshold; first frontend, first target."""
    model = study.spec["frontends"][0]
    answers = [row for row in study.rows if row["what"] == "answers" and row["model"] == model]
    intact = next(row["accuracy"] for row in answers if row["pattern"] == "none")
    found = {}
    for pattern in study.spec["patterns"]:
        figure, axes = blank(6.4, 3.6)
        lines = {
            f"edge alone, {fill}": [
                (r["loss"], r["accuracy"]) for r in answers if (r["pattern"], r["fill"]) == (pattern, fill)
            ]
            for fill in study.spec["fills"]
        }
        start = dict.fromkeys(lines, intact)
        for aware, name in ((True, "with the backend, loss known"), (False, "with the backend, loss-blind")):
            rows = [
                r
                for r in study.rows
                if r["what"] == "thresholds"
                and (r["frontend"], r["pattern"], r["aware"]) == (model, pattern, aware)
                and r["target"] == study.spec["targets"][0]
                and r["promised"]
            ]
            if rows:
                lines[name] = [(r["loss"], r["accuracy"]) for r in rows]
                start[name] = rows[0]["whole_accuracy"]
        for place, (name, line) in enumerate(lines.items()):
            points = [(0.0, start[name]), *line]
            axes.plot(
                [100 * loss for loss, _ in points],
                [100 * accuracy for _, accuracy in points],
                color=COLOURS[place % len(COLOURS)],
                linestyle=LINES[place % len(LINES)],
                marker=MARKERS[place % len(MARKERS)],
                label=name,
            )
        axes.set(xlabel="packets lost [%]", ylabel="accuracy [%]")
        axes.legend(frameon=False)
        found[f"Accuracy of {model} under loss, {pattern}"] = svg(figure)
        found |= _responses(study, pattern)
    return found


def _responses(study: Study, pattern: str) -> dict[str, str]:
    """P99 of each transport over loss, with its interval."""
    rows = [r for r in study.rows if r["what"] == "response" and r["pattern"] in (pattern, "none")]
    if not rows:
        return {}
    figure, axes = blank(6.4, 3.6)
    for place, transport in enumerate(dict.fromkeys(r["transport"] for r in rows)):
        mine = sorted((r for r in rows if r["transport"] == transport), key=lambda r: r["loss"])
        p99 = [r["p99_ms"] for r in mine]
        axes.errorbar(
            [100 * r["loss"] for r in mine],
            p99,
            yerr=[
                [max(r["p99_ms"] - r["p99_low_ms"], 0.0) for r in mine],
                [max(r["p99_high_ms"] - r["p99_ms"], 0.0) for r in mine],
            ],
            color=COLOURS[place % len(COLOURS)],
            linestyle=LINES[place % len(LINES)],
            marker=MARKERS[place % len(MARKERS)],
            capsize=2,
            label=transport,
        )
    axes.set(xlabel="packets lost each way [%]", ylabel="P99 of the response time [ms]", yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False)
    return {f"Response times by transport, {pattern}": svg(figure)}


_DRAWN = {"splits": _splits, "grid": _grid, "energy": draw_energy, "loss": _loss}
