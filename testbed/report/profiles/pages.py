"""A comparison of hardware profiles for the terminal, as JSON (schema 1), as a page and as one picture."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.errors import ConfigError
from testbed.report import words
from testbed.report.console import draw
from testbed.report.html import document, figure_to_html, table_to_html
from testbed.report.profiles.figures import draw_profiles, picture
from testbed.report.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from testbed.report.profiles.compare import Point, ProfileComparison

SCHEMA = 1
SHOWN = 24
"""Rows of a table in the terminal; the page and the JSON document have all."""


def profile_tables(found: ProfileComparison, *, most: int | None = None) -> tuple[Table, ...]:
    """Subjects, shared models, batches and the models worth choosing.

    Args:
        most: rows per table, the rest is counted; ``None`` for all.
    """
    tables = (_subjects(found), _pairs(found), _batches(found), *_fronts(found, everything=most is None))
    return tuple(_cut(table, most) for table in tables if table.body)


def profiles_to_console(found: ProfileComparison) -> list[RenderableType]:
    """Warnings first, then tables, each followed by its remarks."""
    from rich.text import Text

    shown: list[RenderableType] = [Text(warning, style="yellow") for warning in found.warnings]
    return [*shown, *(part for table in profile_tables(found, most=SHOWN) for part in draw(table))]


def profiles_to_json(found: ProfileComparison) -> dict[str, Any]:
    """The document that ``testbed profiles compare --json`` prints."""
    return {"schema": SCHEMA, **msgspec.to_builtins(found)}


def write_profiles(found: ProfileComparison, file: Path) -> None:
    """Write the page (``.html``) or its plots in one picture (``.svg``); whatever stood there is replaced.

    Raises:
        ConfigError: another suffix, or it cannot be written.
    """
    if file.suffix == ".html":
        text = page(found)
    elif file.suffix == ".svg":
        text = picture(found)
    else:
        raise ConfigError("neither a page nor a picture", file=file, cure="Name it .html or .svg")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=file, cure="Check the path") from error


def page(found: ProfileComparison) -> str:
    """The page's text."""
    title = "Hardware profiles: " + ", ".join(subject.name for subject in found.subjects)
    warnings = (f'<p class="verdict">{escape(warning)}</p>' for warning in found.warnings)
    figures = (figure_to_html(name, svg) for name, svg in draw_profiles(found).items())
    return document(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            *warnings,
            *figures,
            *(table_to_html(table) for table in profile_tables(found)),
        ],
    )


def _subjects(found: ProfileComparison) -> Table:
    return Table(
        title="Profiles",
        head=("profiles", "metered", "origin", "models", "idle W"),
        names=3,
        body=tuple(
            (
                subject.name,
                "; ".join(subject.metered) or words.NONE,
                ", ".join(subject.origins),
                str(subject.models),
                words.number(subject.idle_w),
            )
            for subject in found.subjects
        ),
    )


def _pairs(found: ProfileComparison) -> Table:
    if not found.pairs:
        return Table(title="", head=(), body=())
    first, second = found.subjects[0].name, found.subjects[1].name
    reasons = sorted({row.reason for row in found.pairs if row.reason})
    return Table(
        title=f"The same model on both: 1 is {first}, 2 is {second}",
        head=("model", "ms 1", "ms 2", "2 : 1", "mJ 1", "mJ 2", "2 : 1", "accuracy 1", "2 - 1, points"),
        body=tuple(
            (
                row.model,
                words.number(row.first.ms),
                words.number(row.second.ms),
                words.number(row.ms_ratio),
                words.number(row.first.energy_mj),
                words.number(row.second.energy_mj),
                "withheld" if row.reason else words.number(row.energy_ratio),
                words.number(row.first.accuracy, 4),
                words.NONE if row.accuracy_points is None else f"{row.accuracy_points:+.2f}",
            )
            for row in found.pairs
        ),
        remarks=(
            "ms: median service time of one inference; mJ: energy of one inference, gross.",
            *(f"Ratio of energies withheld: {reason}." for reason in reasons),
        ),
    )


def _batches(found: ProfileComparison) -> Table:
    return Table(
        title="Batches",
        head=("profiles", "model", "batch", "ms a batch", "ms an item", "mJ an item", "metered"),
        names=2,
        body=tuple(
            (
                row.subject,
                row.model,
                str(row.batch),
                words.number(row.ms),
                words.number(row.ms / row.batch),
                words.number(row.energy_mj),
                row.kind or words.NONE,
            )
            for row in found.batches
        ),
    )


def _fronts(found: ProfileComparison, *, everything: bool) -> tuple[Table, ...]:
    """Per task, the models on a front; all of them where everything is asked for."""
    made = []
    for task, metric in sorted({(point.task, point.metric) for point in found.points}):
        of = [point for point in found.points if (point.task, point.metric) == (task, metric)]
        front = [point for point in of if point.on_front]
        rows = of if everything or not front else front
        joint = set(found.joint_front.get(task, ()))
        remarks = [
            f"{len(front)} of {len(of)} models are on the front of their profiles: none else is as accurate, as fast "
            "and as thrifty at once."
        ]
        if joint:
            remarks.append(f"{len(joint)} are on the front of all together (*).")
        made.append(
            Table(
                title=f"{task}: accuracy ({metric}), service time, energy",
                head=(
                    "profiles",
                    "model",
                    metric,
                    "ms p50",
                    "ms p99",
                    "mJ",
                    "net mJ",
                    "metered",
                    "origin",
                    "front",
                ),
                names=2,
                body=tuple(
                    _row(point, joint) for point in sorted(rows, key=lambda p: (p.subject, p.accuracy))
                ),
                remarks=tuple(remarks),
            )
        )
    return tuple(made)


def _row(point: Point, joint: set[tuple[str, str]]) -> tuple[str, ...]:
    mark = {None: words.NONE, True: "yes", False: "no"}[point.on_front]
    return (
        point.subject,
        point.model,
        words.number(point.accuracy, 4),
        words.number(point.ms),
        words.number(point.p99_ms),
        words.number(point.energy_mj),
        words.number(point.net_mj),
        point.kind or words.NONE,
        point.origin,
        f"{mark} *" if (point.subject, point.model) in joint else mark,
    )


def _cut(table: Table, most: int | None) -> Table:
    if most is None or len(table.body) <= most:
        return table
    more = f"{len(table.body) - most} more rows: --out FILE.html or --json shows all."
    return msgspec.structs.replace(table, body=table.body[:most], remarks=(*table.remarks, more))
