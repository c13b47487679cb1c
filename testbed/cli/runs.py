"""The commands about runs: play one, live or in virtual time, and report it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.door import Ended, Exit
from testbed.cli.pages import report, run_folder, show
from testbed.errors import ConfigError
from testbed.units import from_s

if TYPE_CHECKING:
    from testbed.cli.terminal import Terminal

RUNS = "runs"


def run(
    terminal: Terminal,
    *,
    experiment: str | None,
    lab: str | None,
    out: Path | None,
    resume: Path | None,
    seed: int | None,
    wait_s: float = 0.0,
) -> None:
    """Play an experiment, then report it.

    Raises:
        ConfigError: nothing to play, or a file is wrong. KeyboardInterrupt: stopped; what was finished is saved.
    """
    if experiment is None and resume is None:
        raise _unnamed()
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
        wait=from_s(wait_s),
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
    seeds: int | None = None,
) -> None:
    """Play an experiment in virtual time, then report it; with ``seeds`` so many times, from its seed on.

    Raises:
        ConfigError: nothing to play, no live run to take the lab from, or a file is wrong.
    """
    if experiment is None:
        raise _unnamed()
    if resume is not None:
        raise ConfigError("--resume is for live runs", cure="Play it again: virtual time takes seconds")
    from testbed import resources
    from testbed.campaign.virtual import run_in_virtual_time

    folder = resources.experiment(experiment)
    lab_file = resources.lab(lab) if lab is not None else None
    source = run_folder(after) if after is not None else _found(terminal, folder, lab_file, _place(out))
    if source is None:
        raise ConfigError(
            f"no live run of this lab on this host in {_place(out)}, and virtual time takes the lab from one",
            key="--after",
            cure="Name one with --after, or let --gap play one",
        )
    if seeds is not None:
        from testbed.campaign.run import new_folder
        from testbed.campaign.spec import read_campaign
        from testbed.cli.seeds import run_seeds

        campaign = read_campaign(folder, lab=lab_file, seed=seed)
        place = out if out is not None else new_folder(campaign)
        run_seeds(
            terminal, folder=folder, lab=lab_file, after=source, out=place, seed=campaign.seed, seeds=seeds
        )
        return
    made = run_in_virtual_time(folder, after=source, lab=lab_file, out=out, seed=seed, progress=terminal)
    report(terminal, made)


def run_gap(
    terminal: Terminal,
    *,
    experiment: str | None,
    lab: str | None,
    out: Path | None,
    seed: int | None,
    after: Path | None,
    wait_s: float = 0.0,
) -> None:
    """Play an experiment live, then in virtual time, and show the gap.

    What virtual time knows of the lab comes from a live run *before* the one it is compared with: the one named, the
    latest that fits, or, where there is none, a short one that is played first.

    Raises:
        ConfigError: nothing to play, or a file is wrong. Ended: as the live run ended.
    """
    if experiment is None:
        raise _unnamed()
    from testbed import resources
    from testbed.campaign import run_experiment
    from testbed.campaign.virtual import run_in_virtual_time
    from testbed.cli.pairs import show_gap

    folder = resources.experiment(experiment)
    lab_file = resources.lab(lab) if lab is not None else None
    source = run_folder(after) if after is not None else _found(terminal, folder, lab_file, _place(out))
    if source is None:
        terminal.note("no earlier live run of this lab on this host: a short one first, to see how it is")
        source = run_experiment(
            folder,
            lab=lab_file,
            seed=seed,
            scout=True,
            place=_place(out),
            progress=terminal,
            wait=from_s(wait_s),
        )
    live = run_experiment(folder, lab=lab_file, out=out, seed=seed, progress=terminal, wait=from_s(wait_s))
    terminal.head(f"Live: {live}")
    document, code = show(terminal, live)
    if code in {Exit.PASS, Exit.MISSED}:
        virtual = run_in_virtual_time(
            folder,
            after=source,
            lab=lab_file,
            out=live.with_name(f"{live.name}-virtual"),
            seed=seed,
            progress=terminal,
        )
        terminal.head(f"Virtual time: {virtual}")
        document["virtual"], _ = show(terminal, virtual)
        terminal.head("Gap")
        document["gap"] = show_gap(terminal, live, virtual)
    if terminal.json:
        terminal.emit(document)
    if code is not Exit.PASS:
        raise Ended(code)


def refuse_with_gap(*, virtual_time: bool, resume: Path | None) -> None:
    """Options that --gap leaves no room for.

    Raises:
        ConfigError: one of them was given.
    """
    if virtual_time:
        raise ConfigError("--gap plays both", key="--virtual-time", cure="Leave --virtual-time out")
    if resume is not None:
        raise ConfigError(
            "--gap plays a new run", key="--resume", cure="Resume it, then --virtual-time and testbed gap"
        )


def _unnamed() -> ConfigError:
    return ConfigError(
        "no experiment is named", cure="Give its folder, or the name of a shipped one: 00-hello"
    )


def _place(out: Path | None) -> Path:
    """The folder that runs lie in."""
    return out.parent if out is not None else Path(RUNS)


def _found(terminal: Terminal, experiment: Path, lab: Path | None, place: Path) -> Path | None:
    """The latest live run that says how the lab is, and a line that says so."""
    from testbed.campaign.data import Data
    from testbed.campaign.earlier import latest_live_run
    from testbed.campaign.spec import read_campaign
    from testbed.coordinator.labfile import read_lab

    campaign = read_campaign(experiment, lab=lab)
    found = latest_live_run(place, read_lab(campaign.lab), Data(campaign.tasks))
    if found is not None:
        terminal.note(f"profiles and links as seen by {found}, the latest live run of this lab on this host")
    return found
