"""The commands about two runs: compare them, and the gap between bench and model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.cli.door import Ended, Exit
from testbed.cli.pages import run_folder

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cli.terminal import Terminal

GAP_FILE = "gap.html"


def compare(terminal: Terminal, first: Path, second: Path, *, pool: bool = False) -> None:
    """Show how two runs differ, and whether they may be pooled.

    Raises:
        ConfigError: one of them is no run folder. StoreError: they cannot be read, or have nothing in common.
        Ended: with ``pool``, they must not be pooled.
    """
    from testbed.report import compare as comparing
    from testbed.store.reader import read_run

    comparison = comparing.compare(read_run(run_folder(first)), read_run(run_folder(second)))
    if terminal.json:
        terminal.emit(comparing.comparison_to_json(comparison))
    else:
        terminal.show(*comparing.comparison_to_console(comparison))
    if pool and not comparison.pooling.may:
        raise Ended(Exit.MISSED)


def gap(terminal: Terminal, live: Path, virtual: Path) -> None:
    """Show the gap between a live run and one in virtual time.

    Raises:
        ConfigError: one of them is no run folder. StoreError: they cannot be read, or do not pair.
    """
    document = show_gap(terminal, live, virtual)
    if terminal.json:
        terminal.emit(document)


def show_gap(terminal: Terminal, live: Path, virtual: Path) -> dict[str, Any]:
    """Show the gap's tables and write its page into the virtual run's folder; its JSON document.

    Raises:
        ConfigError: one of them is no run folder. StoreError: they cannot be read, or do not pair.
    """
    from testbed.report.gap.between import gap as gap_between
    from testbed.report.gap.pages import gap_to_console, gap_to_json, write_gap
    from testbed.store.reader import read_run

    found = gap_between(read_run(run_folder(live)), read_run(run_folder(virtual)))
    terminal.show(*gap_to_console(found))
    try:
        write_gap(found, virtual / GAP_FILE)
        terminal.note(f"gap: {virtual / GAP_FILE}")
    except OSError as error:
        terminal.note(f"no page was written: {virtual}: {error.strerror}")
    return gap_to_json(found)
