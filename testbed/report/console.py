"""The report in a terminal: rich renderables that the command line prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from testbed.report.layout import main_tables
from testbed.report.run_tables import trials
from testbed.report.table import Table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from testbed.report.rows import Analysis

_NO_LIMIT = 10_000
"""Columns; wider than any table."""

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


class _Fitting:
    """The table where its words fit side by side, else a paragraph for each of its rows."""

    def __init__(self, table: Table, made: RichTable) -> None:
        """Both ways show the same cells."""
        self._table = table
        self._made = made

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose by the words that are widest in their columns."""
        free = options.update(max_width=_NO_LIMIT)
        if Measurement.get(console, free, self._made).minimum <= options.max_width:
            yield self._made
            return
        yield Text(self._table.title, style="bold")
        for row in self._table.body:
            yield Text("  " + " ".join(filter(None, row[: self._table.names])), style="bold")
            cells = zip(self._table.head, row, strict=True)
            figures = list(cells)[self._table.names :]
            parts = [
                Text.assemble((f"{name} ", "dim"), (cell, _STYLES.get(cell, ""))) for name, cell in figures
            ]
            yield Padding(Text("; ").join(parts), (0, 0, 0, 4))


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
    return [_Fitting(table, made), *(Text(f"  {remark}", style="dim") for remark in table.remarks)]
