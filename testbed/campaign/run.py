"""From an experiment folder to a run folder."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import msgspec

from testbed.campaign.bench import open_lab
from testbed.campaign.data import Data
from testbed.campaign.design import design
from testbed.campaign.loop import new_loop
from testbed.campaign.pages import as_data, first_page, last_page, model_hash
from testbed.campaign.policies import calibrated, check_options, check_policies
from testbed.campaign.progress import Progress, Silent
from testbed.campaign.spec import Campaign, read_campaign
from testbed.campaign.trial import play_trial
from testbed.coordinator.labfile import LabFile, read_lab
from testbed.errors import ConfigError
from testbed.resources import root
from testbed.store.provenance import sha256_of
from testbed.store.reader import read_run
from testbed.store.schema import Header
from testbed.store.writer import RunWriter, check_new
from testbed.units import Ns

SCOUT_REQUESTS = 50
SCOUT_IDLE_S = 0.2


def run_experiment(
    folder: Path,
    *,
    lab: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    seed: int | None = None,
    scout: bool = False,
    place: Path | None = None,
    progress: Progress | None = None,
    wait: Ns = 0,
) -> Path:
    """Play every trial of an experiment.

    Args:
        folder: the experiment's folder.
        lab: another lab file than the one it names. seed: another seed.
        out: run folder to make; default ``<name>-<time>`` in ``place``, which is ``runs`` below the working directory.
        resume: run folder to complete instead: trials that count are kept, the others are played again.
        wait: how long to wait for boards that somebody else has.
        scout: play a few requests only, to see the lab: what `testbed.campaign.virtual` takes it from.

    Returns:
        the run folder.

    Raises:
        ConfigError, LinkError, BoardError, PolicyError, StoreError: nothing finished is lost.
        LeaseError: somebody else has a board, or has taken it over in the middle.
        KeyboardInterrupt: stopped by the user; the run folder is complete up to there and can be resumed.
    """
    begun = read_run(resume).header if resume is not None else None
    if begun is not None:
        seed = begun.seeds["campaign"] if seed is None else seed
        lab = root() / begun.lab_file if lab is None else lab
    campaign = read_campaign(folder, lab=lab, seed=seed)
    check_policies(campaign)
    if scout:
        campaign = scouting(campaign)
    lab_file = read_lab(campaign.lab)
    data = Data(campaign.tasks)
    if resume is not None and begun is not None:
        _check_same(begun, campaign, lab_file, data)
        if read_run(resume).complete:
            return resume  # nothing is left to open a lab for
    target = resume or out or new_folder(campaign, place)
    if resume is None:
        check_new(target)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_run(campaign, lab_file, data, target, progress or Silent(), begun, wait))


def scouting(campaign: Campaign) -> Campaign:
    """The same lab and kind of requests, but few of them: opening the lab measures profiles and probes its links."""
    return msgspec.structs.replace(
        campaign,
        name=f"{campaign.name}-scout",
        question=f"How is the lab of {campaign.name}?",
        policies=campaign.policies[:1],
        options={name: o for name, o in campaign.options.items() if name == campaign.policies[0]},
        blocks=1,
        workload=msgspec.structs.replace(
            campaign.workload, requests=min(campaign.workload.requests, SCOUT_REQUESTS)
        ),
        measure=msgspec.structs.replace(campaign.measure, idle_s=min(campaign.measure.idle_s, SCOUT_IDLE_S)),
    )


def new_folder(campaign: Campaign, place: Path | None = None) -> Path:
    """A run folder in ``place`` or ``runs`` below the working directory, named after the experiment and the time."""
    return (place or Path("runs")) / f"{campaign.name}-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}"


async def _run(
    campaign: Campaign,
    lab: LabFile,
    data: Data,
    folder: Path,
    progress: Progress,
    begun: Header | None,
    wait: Ns,
) -> Path:
    thresholds = calibrated(campaign, lab, data)
    check_options(campaign, lab, thresholds, data.truth)
    trials = design(campaign)
    async with open_lab(
        lab,
        data,
        seed=campaign.seed,
        warmup=campaign.measure.warmup,
        progress=progress,
        known=begun.known if begun is not None else None,
        purpose=f"run {campaign.name}",
        wait=wait,
    ) as bench:
        if begun is not None:
            pending = {planned.trial for planned in read_run(folder).pending}
            todo = [trial for trial in trials if trial.id in pending]
            writer = RunWriter.resume(folder)
        else:
            todo = trials
            agents = [facts.agent_sha256 for facts in bench.inventory.facts.values()]
            page = first_page(folder, campaign, lab, data, trials, thresholds, bench.profiles, agents)
            writer = RunWriter.create(folder, page)
        with writer as run:
            status, reason = "failed", "the run broke"
            try:
                for trial in todo:
                    await bench.inventory.recovery.settled()
                    await bench.instruments.ready()
                    outcome = await play_trial(trial, campaign, bench, thresholds, run, progress)
                    progress.note(f"{trial.id}: {outcome.value}")
                status, reason = "finished", ""
            except asyncio.CancelledError:
                status, reason = "interrupted", str(bench.inventory.leasing.lost or "stopped by the user")
                progress.note(f"to play the rest: testbed run --resume {folder}")
                raise
            except Exception as error:
                reason = str(error)
                progress.note(f"to play the rest: testbed run --resume {folder}")
                raise
            finally:
                run.close(last_page(run, status, reason))
            return run.folder


def _check_same(header: Header, campaign: Campaign, lab: LabFile, data: Data) -> None:
    """A run is completed only with what it was begun with.

    Raises:
        ConfigError: the campaign, the lab file, or a model that the lab uses is another one now.
    """
    if header.campaign != as_data(campaign):
        raise ConfigError(
            "the campaign is not the one this run was begun with",
            file=campaign.file,
            cure="Restore it (and the seed), or start a new run",
        )
    if header.lab_sha256 != sha256_of(lab.text.encode()):
        raise ConfigError(
            "the lab is not the one this run was begun with",
            file=lab.file,
            cure="Restore it, or start a new run",
        )
    for name in {model for table, _ in lab.boards.values() for model in table.models}:
        if header.models.get(name) != model_hash(data.models[name]):
            raise ConfigError(
                f"model {name!r} is not the one this run was begun with",
                key=f"models.{name}",
                cure="Restore the catalogue, or start a new run",
            )
