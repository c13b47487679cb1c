"""The commands about runs: play one, report it, compare two."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def run(
    terminal: Terminal,
    *,
    experiment: str | None,
    lab: str | None,
    out: Path | None,
    resume: Path | None,
    seed: int | None,
) -> None:
    """Play an experiment, then report it.

    Raises:
        ConfigError: nothing to play, or a file is wrong. KeyboardInterrupt: stopped; what was finished is saved.
    """
    if experiment is None and resume is None:
        raise ConfigError("which experiment?", cure="Give its folder, or the name of a shipped one: 00-hello")
    if out is not None and resume is not None:
        raise ConfigError("--out and --resume exclude each other", cure="A resumed run stays in its folder")
    from testbed import resources
    from testbed.campaign import run_experiment
    from testbed.store.reader import read_run

    begun_with = read_run(run_folder(resume)).header.experiment_path if resume is not None else ""
    folder = resources.experiment(experiment or begun_with)
    made = run_experiment(
        folder,
        lab=resources.lab(lab) if lab is not None else None,
        out=out,
        resume=resume,
        seed=seed,
        progress=terminal,
    )
    report(terminal, made)


def run_virtual(
    terminal: Terminal,
    *,
    experiment: str | None,
    lab: str | None,
    out: Path | None,
    resume: Path | None,
    seed: int | None,
    after: Path | None,
) -> None:
    """Play an experiment in virtual time, then report it.

    Raises:
        ConfigError: nothing to play, no live run to take the lab from, or a file is wrong.
    """
    if experiment is None:
        raise ConfigError("which experiment?", cure="Give its folder, or the name of a shipped one: 00-hello")
    if resume is not None:
        raise ConfigError("--resume is for live runs", cure="Play it again: virtual time takes seconds")
    if after is None:
        raise ConfigError("which lab?", key="--after", cure="Name the folder of a live run on the lab")
    from testbed import resources
    from testbed.campaign.virtual import run_in_virtual_time

    made = run_in_virtual_time(
        resources.experiment(experiment),
        after=after,
        lab=resources.lab(lab) if lab is not None else None,
        out=out,
        seed=seed,
        progress=terminal,
    )
    report(terminal, made)


def report(terminal: Terminal, folder: Path) -> None:
    """Show a run folder's tables and write its page and JUnit file anew.

    Raises:
        ConfigError: it is no run folder. StoreError: it cannot be read.
        Ended: the run missed a limit, or does not count.
    """
    from testbed.report.html import write_html
    from testbed.report.junit import write_junit
    from testbed.report.tables import analyse
    from testbed.store.reader import read_run

    read = read_run(run_folder(folder))
    analysis = analyse(read)
    write_html(analysis, folder / REPORT_FILE)
    write_junit(analysis, folder / JUNIT_FILE)
    if terminal.json:
        from testbed.report.json import to_json

        terminal.emit(to_json(analysis))
    else:
        from testbed.report.console import to_console

        terminal.show(*to_console(analysis))
    terminal.note(f"report: {folder / REPORT_FILE}")
    code = _code(read, analysis)
    if code is not Exit.PASS:
        raise Ended(code)


def compare(terminal: Terminal, first: Path, second: Path) -> None:
    """Show how two runs differ.

    Raises:
        ConfigError: one of them is no run folder. StoreError: they cannot be read, or have nothing in common.
    """
    from testbed.report import compare as comparing
    from testbed.store.reader import read_run

    comparison = comparing.compare(read_run(run_folder(first)), read_run(run_folder(second)))
    if terminal.json:
        terminal.emit(comparing.comparison_to_json(comparison))
    else:
        terminal.show(*comparing.comparison_to_console(comparison))


def run_folder(folder: Path) -> Path:
    """The folder, if a run was written there.

    Raises:
        ConfigError: it is another folder, or none.
    """
    if not (folder / HEADER_FILE).is_file():
        raise ConfigError(
            f"holds no run (no {HEADER_FILE})", file=folder, cure="Give the folder that a run wrote"
        )
    return folder


def _code(run: Run, analysis: Analysis) -> Exit:
    """The exit code that a run stands for."""
    from testbed.model.record import TrialStatus

    if analysis.verdict == "ok":
        return Exit.PASS
    if analysis.verdict == "missed":
        return Exit.MISSED
    timed_out = any(attempt.status == TrialStatus.TIMEOUT.value for attempt in run.trials)
    return Exit.TIMEOUT if timed_out else Exit.INFRASTRUCTURE
