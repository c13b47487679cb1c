"""Experiments that need no board: computed on stored predictions or hardware profiles, or played in virtual time."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, did_you_mean
from testbed.store.study import STUDY_FILE

if TYPE_CHECKING:
    from testbed.cli.terminal import Terminal

TRIALS = "trials"
KINDS = ("splits", "grid", "energy", "loss")
"""Those of `testbed.campaign.studies`, which is not imported only to look at a file."""


def study_of(experiment: str | None) -> Path | None:
    """The folder of an experiment that is a study; ``None`` for one that plays trials.

    Raises:
        ConfigError: there is no such experiment, its file cannot be read, or it names a kind that is not known.
    """
    if experiment is None:
        return None
    from testbed import resources

    folder = resources.experiment(experiment)
    return None if kind_of(folder) == TRIALS else folder


def kind_of(folder: Path) -> str:
    """What an experiment does: ``trials`` unless its campaign file says otherwise.

    Raises:
        ConfigError: the file cannot be read, or names a kind that is not known.
    """
    from testbed import resources
    from testbed.coordinator.labfile import read_toml

    _, raw = read_toml(folder / resources.CAMPAIGN_FILE)
    kind = raw.get("kind", TRIALS)
    if kind not in (TRIALS, *KINDS):
        raise ConfigError(
            f"no kind {kind!r} of experiment",
            file=folder / resources.CAMPAIGN_FILE,
            key="kind",
            cure=did_you_mean(str(kind), (TRIALS, *KINDS)),
        )
    return str(kind)


def is_study(folder: Path) -> bool:
    """Whether a run folder holds a study."""
    return (folder / STUDY_FILE).is_file()


def run(
    terminal: Terminal, experiment: Path, *, seed: int | None, out: Path | None, given: dict[str, bool]
) -> None:
    """Compute a study and show it.

    Args:
        given: options that make no sense without a lab, and whether they were given.

    Raises:
        ConfigError: such an option, or a wrong file. StoreError: the folder cannot be written.
    """
    for option, there in given.items():
        if there:
            raise ConfigError(
                "this experiment needs no lab and plays no trials",
                key=option,
                cure=f"Leave {option} out{_beside(experiment)}",
            )
    from testbed.campaign.studies import run_study

    stamp = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}"
    folder = out if out is not None else Path("runs") / f"{experiment.name}-{stamp}"
    run_study(experiment, folder, seed=seed, progress=terminal)
    report(terminal, folder)


def _beside(experiment: Path) -> str:
    """Experiments within its folder that do play trials, to name in a cure."""
    from testbed import resources

    folders = [file.parent for file in sorted(experiment.glob(f"*/**/{resources.CAMPAIGN_FILE}"))]
    names = [str(folder) for folder in folders if kind_of(folder) == TRIALS]
    return f", or run what plays trials here: {', '.join(names)}" if names else ""


def report(terminal: Terminal, folder: Path) -> None:
    """Show a study and write its page anew.

    Raises:
        StoreError: it cannot be read.
    """
    from testbed.cli.pages import REPORT_FILE
    from testbed.report.studies.tables import study_to_console, study_to_json, write_study_page
    from testbed.store.study import read_study

    study = read_study(folder)
    terminal.show(*study_to_console(study))
    try:
        write_study_page(study, folder / REPORT_FILE)
        terminal.note(f"report: {folder / REPORT_FILE}")
    except OSError as error:
        terminal.note(f"no page was written: {folder}: {error.strerror}")
    if terminal.json:
        terminal.emit(study_to_json(study, folder))
