"""The report in a terminal: rich renderables that the command line prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table as RichTable
from rich.text import Text

from testbed.report.layout import main_tables, trials
from testbed.report.table import Table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from testbed.report.rows import Analysis

_STYLES = {
    "missed": "bold red",
    "reached": "green",
    "withheld": "yellow",
    "not decided": "yellow",
    "none": "yellow",
    "no": "yellow",
}


def to_console(analysis: Analysis) -> list[RenderableType]:
    """Tables, each followed by its remarks, then what a reader must know."""
    tables = list(main_tables(analysis))
    if any(not row.counts for row in analysis.trials):
        tables.append(trials(analysis))
    shown: list[RenderableType] = []
    for table in tables:
        shown.extend(draw(table))
    shown.extend(Text(f"Note: {note}", style="dim") for note in analysis.notes)
    shown.extend(Text(f"Damage: {d.file}:{d.line}: {d.reason}", style="bold red") for d in analysis.damage)
    return shown


def draw(table: Table) -> list[RenderableType]:
    """One table and its remarks."""
    made = RichTable(title=table.title, title_justify="left", title_style="bold", header_style="bold")
    for place, name in enumerate(table.head):
        made.add_column(name, justify="left" if place < table.names else "right", overflow="fold")
    previous = ""
    for row in table.body:
        first = "" if row[0] == previous and len(table.head) > 3 else row[0]
        made.add_row(Text(first), *(Text(cell, style=_STYLES.get(cell, "")) for cell in row[1:]))
        previous = row[0]
    return [made, *(Text(f"  {remark}", style="dim") for remark in table.remarks)]
