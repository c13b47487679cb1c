"""Studies that played no trials, as tables for terminal and page, and as JSON."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from testbed.measure.stats import wilson
from testbed.report import words
from testbed.report.console import draw
from testbed.report.html import document, figure_to_html, table_to_html
from testbed.report.studies.energies import energy_tables
from testbed.report.studies.figures import draw_study
from testbed.report.studies.grids import grid_tables
from testbed.report.studies.losses import loss_tables
from testbed.report.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from testbed.store.study import Study


def study_tables(study: Study) -> tuple[Table, ...]:
    """What a study found; ``KeyError`` for a kind that this version does not know."""
    return _TABLES[study.kind](study)


def study_to_console(study: Study) -> list[RenderableType]:
    """Tables, each followed by its remarks."""
    return [part for table in study_tables(study) for part in draw(table)]


def study_to_json(study: Study, folder: Path) -> dict[str, Any]:
    """The document of ``testbed run --json``; a study has rows instead of policies."""
    return {
        "schema": 1,
        "run": str(folder),
        "policies": {},
        "rows": study.rows,
        "figures": dict(study.figures),
    }


def write_study_page(study: Study, path: Path) -> None:
    """Write the page; whatever stood there is replaced."""
    versions = ", ".join(f"{name} {version}" for name, version in study.versions.items())
    parts = [
        f"<h1>{escape(study.name)}</h1>",
        f'<p class="note">{escape(study.question)}</p>',
        f'<p class="note">{escape(study.created)}, seed {study.seed}</p>',
        *map(table_to_html, study_tables(study)),
        "<h2>Plots</h2>",
        *(figure_to_html(name, svg) for name, svg in draw_study(study).items()),
        "<h2>Provenance</h2>",
        f'<p class="remark">{escape(study.git_commit or "installed package")}; {escape(versions)}</p>',
    ]
    path.write_text(document(study.name, parts), encoding="utf-8")


def _splits(study: Study) -> tuple[Table, ...]:
    plain = [row for row in study.rows if row["weight"] == 1.0]
    shifted = [row for row in study.rows if row["weight"] != 1.0]
    kept = Table(
        title="Promise kept? Thresholds from one part of the data, tried on the rest",
        head=(
            "frontend",
            "target",
            "z",
            "promised in",
            "missed",
            "missed, 95 % interval",
            "achieved",
            "offloaded",
        ),
        body=tuple(
            (
                row["frontend"],
                words.percent(row["target"]),
                f"{row['z']:g}",
                str(row["promised"]),
                str(row["misses"]),
                words.share(wilson(row["misses"], row["promised"])),
                words.percent(row["accuracy"]),
                words.percent(row["offload_frac"]),
            )
            for row in plain
        ),
        names=2,
        remarks=(
            f"{study.spec['splits']} splits, {study.spec['calibration']} calibration samples each; promised in: splits "
            "whose lower bound reached the target; missed: the one-sided 95 % upper bound of the test accuracy lies "
            "below the target; achieved, offloaded: means over the promised splits",
            "accuracy: measured (stored answers of the models on labelled images)",
        ),
    )
    drift = Table(
        title="Beside it: a mix in which the frontend's worst class comes more often",
        head=(
            "frontend",
            "target",
            "times as often",
            "drift guard",
            "promised in",
            "missed",
            "achieved",
            "offloaded",
            "raised",
        ),
        body=tuple(
            (
                row["frontend"],
                words.percent(row["target"]),
                f"{row['weight']:g}",
                "on" if row["guarded"] else "off",
                str(row["promised"]),
                str(row["misses"]),
                words.percent(row["accuracy"]),
                words.percent(row["offload_frac"]),
                words.number(row["raised"]),
            )
            for row in shifted
        ),
        names=2,
        remarks=(
            "a promise holds for the mix it was calibrated on: no promise is made here, and none is gated",
        ),
    )
    return tuple(table for table in (kept, drift) if table.body)


_TABLES = {"splits": _splits, "grid": grid_tables, "energy": energy_tables, "loss": loss_tables}
