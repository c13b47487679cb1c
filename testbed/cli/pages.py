"""A run folder shown: its tables on the terminal, its page and JUnit file beside the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.cli.door import Ended, Exit
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cli.terminal import Terminal
    from testbed.report.tables import Analysis
    from testbed.store.reader import Run

REPORT_FILE = "report.html"
JUNIT_FILE = "junit.xml"
HEADER_FILE = "header.json"
SHOWN = 5
"""Runs named of a folder that holds several."""


def run_folder(folder: Path) -> Path:
    """The folder, if a run was written there.

    Raises:
        ConfigError: it is another folder, or none.
    """
    if not (folder / HEADER_FILE).is_file():
        inside = sorted(found.parent.name for found in folder.glob(f"*/{HEADER_FILE}"))
        if inside:
            raise ConfigError(
                f"holds several runs: {', '.join(inside[:SHOWN])}{', ...' if len(inside) > SHOWN else ''}",
                file=folder,
                cure=f"Give one of them, such as {folder / inside[0]}",
            )
        raise ConfigError(
            f"holds no run (no {HEADER_FILE})", file=folder, cure="Give the folder that a run wrote"
        )
    return folder


def report(terminal: Terminal, folder: Path) -> None:
    """Show a run folder's tables and write its page and JUnit file anew.

    Raises:
        ConfigError: it is no run folder. StoreError: it cannot be read.
        Ended: the run missed a limit, or does not count.
    """
    document, code = show(terminal, folder)
    if terminal.json:
        terminal.emit(document)
    if code is not Exit.PASS:
        raise Ended(code)


def reported(folder: Path) -> tuple[Analysis, dict[str, Any], Exit, str]:
    """Write a run's pages; its analysis, its JSON document, the exit code it stands for, and why pages are missing."""
    from testbed.report.json import to_json

    analysis, code = _analysed(folder)
    return analysis, to_json(analysis), code, _write(analysis, folder)


def show(terminal: Terminal, folder: Path) -> tuple[dict[str, Any], Exit]:
    """Write a run's pages and show its tables; its JSON document and the exit code it stands for."""
    from testbed.report.console import to_console

    analysis, document, code, unwritten = reported(folder)
    terminal.show(*to_console(analysis))
    terminal.note(unwritten or f"report: {folder / REPORT_FILE}")
    return document, code


def _analysed(folder: Path) -> tuple[Analysis, Exit]:
    """A run's analysis, and the exit code that it stands for."""
    from testbed.report.tables import analyse
    from testbed.store.reader import read_run

    read = read_run(run_folder(folder))
    analysis = analyse(read)
    return analysis, _code(read, analysis)


def _write(analysis: Analysis, folder: Path) -> str:
    """Write a run's pages, or tell why not: an archive may be read-only, and its figures are there all the same."""
    from testbed.report.html import write_html
    from testbed.report.junit import write_junit

    try:
        write_html(analysis, folder / REPORT_FILE)
        write_junit(analysis, folder / JUNIT_FILE)
    except OSError as error:
        return f"no page was written: {folder}: {error.strerror}"
    return ""


def _code(run: Run, analysis: Analysis) -> Exit:
    """The exit code that a run stands for."""
    from testbed.model.record import TrialStatus

    if analysis.verdict == "ok":
        return Exit.PASS
    if analysis.verdict == "missed":
        return Exit.MISSED
    timed_out = any(attempt.status == TrialStatus.TIMEOUT.value for attempt in run.trials)
    return Exit.TIMEOUT if timed_out else Exit.INFRASTRUCTURE
