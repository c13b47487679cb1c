"""Plays an experiment in virtual time: the same campaign, core and policies on boards that are draws from profiles.

What it knows of the lab comes from an earlier live run: the profiles that run used (the host's measured at its
start), and the way to each board as its probes saw it. Everything it writes is of origin ``modelled``.
"""

from __future__ import annotations

import datetime
import gc
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed.campaign.data import Data
from testbed.campaign.design import design
from testbed.campaign.loss.channels import channel_of, network_loses
from testbed.campaign.pages import first_page, last_page
from testbed.campaign.policies import calibrated, check_options, check_policies, make_policy
from testbed.campaign.progress import Progress, Silent
from testbed.campaign.run import new_folder
from testbed.campaign.spec import read_campaign
from testbed.coordinator.boards import board_setups
from testbed.coordinator.core import Core
from testbed.coordinator.labfile import read_lab
from testbed.coordinator.lossy_board import LossyBoard
from testbed.coordinator.modelled import Answers, LinkModel, ModelledBoard
from testbed.coordinator.residency import Residency
from testbed.coordinator.simulate import ON_COORDINATOR, Costs, VirtualTrial
from testbed.errors import ConfigError
from testbed.model import event as ev
from testbed.model.action import Transport
from testbed.model.lab import BoardFacts
from testbed.model.origin import Origin
from testbed.model.profile import ProfileBook
from testbed.model.record import TrialStatus
from testbed.model.request import Outcome
from testbed.store.reader import read_events, read_run
from testbed.store.schema import (
    LOAD,
    LOSSES_MODELLED,
    NOTHING_SENT_AGAIN,
    BoardSeen,
    Drawn,
    Note,
    TrialStart,
    Window,
)
from testbed.store.writer import RunWriter
from testbed.units import Ns, from_s
from testbed.workload.mix import fingerprint, stream_requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.campaign.design import Trial
    from testbed.campaign.loss.calibration import Way
    from testbed.campaign.loss.inputs import LossyInputs
    from testbed.campaign.spec import Campaign
    from testbed.coordinator.labfile import LabFile
    from testbed.model.record import RequestRecord
    from testbed.model.request import Request
    from testbed.model.wires import Wire
    from testbed.policy.thresholds import ThresholdTable
    from testbed.store.reader import Run
    from testbed.store.writer import TrialWriter

YOUNG = 20_000
"""Objects that may come before they are looked through for garbage; the interpreter's own is 700."""


class VirtualLab:
    """What is known of a lab: the way to each board, and profiles of what it may run."""

    def __init__(self, lab: LabFile, profiles: ProfileBook, links: dict[str, LinkModel]) -> None:
        """Hold together what belongs together."""
        self.lab = lab
        self.profiles = profiles
        self.links = links
        self.answers: dict[str, Answers] = {}
        self.inputs: dict[Way, LossyInputs] = {}

    def with_way(self, site: str, rtt: Ns, wire: Wire | None = None) -> VirtualLab:
        """The same lab with another way to the boards of a site.

        Args:
            wire: towards them; ``None`` leaves their rates as they are. A policy is told its mean rate, as live, where
                it is told what the link declares.
        """
        links = dict(self.links)
        for board, (table, _) in self.lab.boards.items():
            if table.site == site:
                links[board] = msgspec.structs.replace(links[board], rtt=rtt)
                if wire is not None:
                    links[board] = msgspec.structs.replace(
                        links[board], up_wire=wire, up_bytes_per_s=wire.mean_bytes_per_s
                    )
        again = VirtualLab(self.lab, self.profiles, links)
        again.answers, again.inputs = self.answers, self.inputs
        return again

    @classmethod
    def seen_by(cls, run: Run, lab: LabFile) -> VirtualLab:
        """The lab as a live run saw it.

        Of a table that stands for several boards each is as the one board of that name which the run knows.

        Raises:
            ConfigError: that run says nothing of a board or of a model on it.
        """
        rows = {(b, m): profile for b, models in run.header.known.items() for m, profile in models.items()}
        links: dict[str, LinkModel] = {}
        for attempt in run.trials:
            if attempt.events_file is None:
                continue
            for entry in read_events(attempt.events_file):
                if isinstance(entry, ev.NetworkSeen):
                    links[entry.board] = LinkModel(
                        rtt=entry.rtt,
                        up_bytes_per_s=entry.up_bytes_per_s,
                        down_bytes_per_s=entry.down_bytes_per_s,
                        loss_frac=entry.loss_frac,
                    )
        for board, table_name in lab.tables.items():
            if table_name in links:
                links.setdefault(board, links[table_name])
            for model in lab.boards[board][0].models:
                known = rows.get((table_name, model))
                if known is not None:
                    rows.setdefault((board, model), known)
        for board, (table, _) in lab.boards.items():
            missing = [model for model in table.models if (board, model) not in rows]
            if board not in links or missing:
                what = f"no profile of {', '.join(missing)} on it" if missing else "no probe of its link"
                raise ConfigError(
                    f"the run in {run.folder} holds {what}",
                    file=lab.file,
                    key=f"boards.{board}",
                    cure="Name a live run of this lab with --after",
                )
        of_this_lab = {(board, model): row for (board, model), row in rows.items() if board in lab.boards}
        return cls(lab, ProfileBook(of_this_lab), {board: links[board] for board in lab.boards})


def run_in_virtual_time(
    folder: Path,
    *,
    after: Path,
    lab: Path | None = None,
    out: Path | None = None,
    seed: int | None = None,
    costs: Costs | None = None,
    progress: Progress | None = None,
) -> Path:
    """Play every trial of an experiment in virtual time.

    Args:
        folder: the experiment's folder. lab, seed, out: as in `run_experiment`.
        after: run folder of a live run on the same lab; better an earlier one than that compared with.
        costs: declared cost of decisions and plans.

    Returns:
        the run folder.

    Raises:
        ConfigError, PolicyError, StoreError: as in `run_experiment`.
    """
    campaign = read_campaign(folder, lab=lab, seed=seed)
    check_policies(campaign)
    lab_file = read_lab(campaign.lab)
    data = Data(campaign.tasks)
    source = read_run(after)
    virtual = VirtualLab.seen_by(source, lab_file)
    thresholds = calibrated(campaign, lab_file, data)
    check_options(campaign, lab_file, thresholds, data.truth)
    trials = design(campaign)
    target = out or new_folder(campaign)
    progress = progress or Silent()
    page = first_page(
        target, campaign, lab_file, data, trials, thresholds, virtual.profiles, [], source.header
    )
    with RunWriter.create(target, page) as run:
        status, reason = "failed", "the run broke"
        try:
            drawn: dict[int, str] = {}  # the policies of a block see the same requests
            for trial in trials:
                if trial.seed not in drawn:
                    stream = stream_requests(campaign.workload, campaign.task, data.samples, trial.seed)
                    drawn[trial.seed] = fingerprint(stream)
                play_virtual(
                    trial,
                    campaign,
                    virtual,
                    data,
                    thresholds,
                    run,
                    costs or Costs(),
                    after.name,
                    drawn[trial.seed],
                    progress,
                )
            status, reason = "finished", ""
        except KeyboardInterrupt:
            status, reason = "interrupted", "stopped by the user"
            raise
        except Exception as error:
            reason = str(error)
            raise
        finally:
            run.close(last_page(run, status, reason))
        return run.folder


def play_virtual(
    trial: Trial,
    campaign: Campaign,
    virtual: VirtualLab,
    data: Data,
    thresholds: ThresholdTable | None,
    run: RunWriter,
    costs: Costs,
    after: str,
    arrivals_sha256: str,
    progress: Progress | None = None,
) -> None:
    """Play one trial into the run folder.

    Args:
        after: the live run that the lab was taken from. arrivals_sha256: of the trial's requests.
    """
    progress = progress or Silent()
    options = campaign.options.get(trial.policy, {})
    name = campaign.registered.get(trial.policy, trial.policy)
    policy = make_policy(name, options, virtual.lab, virtual.profiles, thresholds, trial.seed, data.truth)
    core = Core(policy, board_setups(virtual.lab, {}), virtual.profiles, data.payload_bytes, data.truth)
    start = TrialStart(
        trial=trial.id,
        policy=trial.policy,
        block=trial.block,
        seed=trial.seed,
        arrivals_sha256=arrivals_sha256,
        requests=campaign.workload.requests,
        t0=0,
        wall=datetime.datetime.now(datetime.UTC).isoformat(),
    )
    with run.begin(start, buffered=True) as journal:
        for board, (table, _) in virtual.lab.boards.items():
            journal.write(BoardSeen(facts=_facts(board, table.kind, table.site)))
        journal.write(Note(t=0, text=f"virtual time; profiles and links as seen by run {after}"))
        if options.get("transport") == Transport.LOSSY.value:
            journal.write(Note(t=0, text=LOSSES_MODELLED))
        if any(network_loses(virtual.lab, board) for board in virtual.lab.boards):
            journal.write(Note(t=0, text=NOTHING_SENT_AGAIN))
        tally = _Tally(journal, progress)
        progress.start(f"{trial.policy} (virtual time)", campaign.workload.requests)
        boards = modelled_boards(virtual, data, trial.seed)
        input_bytes = {model: data.of(model).input_bytes for model in data.models}
        shell = VirtualTrial(
            core,
            policy,
            boards,
            lambda order, samples: input_bytes[order.model] * len(samples),
            tally,
            costs=costs,
            on_remark=lambda t, text: journal.write(Note(t=t, text=text)),
        )

        def requests(start: Ns) -> Iterator[Request]:
            return stream_requests(campaign.workload, campaign.task, data.samples, trial.seed, start=start)

        # What was read so far stays: looking through it for garbage again and again would cost a tenth of the time.
        # What comes is hardly ever garbage that refers to itself, so it is looked for seldom.
        gc.collect()
        gc.freeze()
        usual = gc.get_threshold()
        gc.set_threshold(YOUNG, *usual[1:])
        try:
            begun, ended = shell.run(requests, known_events(virtual), from_s(campaign.measure.limit_s))
        finally:
            gc.set_threshold(*usual)
            gc.unfreeze()
        tally.tell()
        progress.done()
        journal.write(Window(name=LOAD, start=begun, end=ended))
        for board, modelled in boards.items():
            journal.write(Drawn(board=board, energy=modelled.energy(ended - begun)))
        status = TrialStatus.TIMEOUT if tally.aborted else TrialStatus.OK
        counters = {name: float(value) for name, value in core.counters.items()}
        reason = f"{tally.aborted} requests open at the trial's limit" if tally.aborted else ""
        journal.end(status, counters=counters, reason=reason)


def modelled_boards(virtual: VirtualLab, data: Data, seed: int) -> dict[str, ModelledBoard]:
    """A board for each of the lab's, every one with a stream of random numbers of its own."""
    answers: dict[str, Answers] = virtual.answers  # what a model answers is the same in every trial
    boards: dict[str, ModelledBoard] = {}
    streams = np.random.SeedSequence([seed, 0x51]).spawn(len(virtual.lab.boards))
    for (board, (table, _)), stream in zip(virtual.lab.boards.items(), streams, strict=True):
        for model in table.models:
            if model not in answers:
                answers[model] = Answers(data.of(model).test_scores(model))
        link = virtual.links[board]
        profiles = {model: virtual.profiles.rows[board, model] for model in table.models}
        channel = channel_of(virtual.lab, board, link, data, virtual.inputs, seed)
        kind = ModelledBoard if channel is None else LossyBoard
        boards[board] = kind(
            board,
            link,
            profiles,
            {model: answers[model] for model in table.models},
            np.random.default_rng(stream),
            Residency(profiles, table.resident, table.memory_bytes),
            channel,
        )
    return boards


def known_events(virtual: VirtualLab) -> list[ev.CoreEvent]:
    """Events that tell a core how the lab stands at the start."""
    events: list[ev.CoreEvent] = []
    for board, (table, _) in virtual.lab.boards.items():
        link = virtual.links[board]
        resident = tuple((model, 1) for model in table.at_start)
        events.append(ev.BoardUp(t=0, board=board, boot=ON_COORDINATOR, resident=resident))
        events.append(
            ev.NetworkSeen(
                t=0,
                board=board,
                rtt=link.rtt,
                up_bytes_per_s=link.up_bytes_per_s,
                down_bytes_per_s=link.down_bytes_per_s,
                loss_frac=link.loss_frac,
            )
        )
    return events


def _facts(board: str, kind: str, site: str) -> BoardFacts:
    return BoardFacts(
        id=board,
        kind=kind,
        site=site,
        boot_id="",
        agent_sha256="",
        facts={},
        origin=Origin.MODELLED.value,
        link_origin=Origin.MODELLED.value,
    )


_ABORTED = Outcome.ABORTED
TELL_EVERY = 1000
"""Records between two calls of the progress bar, which cost more than a record does."""


class _Tally:
    """Writes records through, counts those that were cut off, and tells how many there are."""

    def __init__(self, journal: TrialWriter, progress: Progress) -> None:
        self._journal = journal
        self._progress = progress
        self._untold = 0
        self.aborted = 0

    def write(self, entry: RequestRecord) -> None:
        self._journal.write(entry)
        if entry.outcome is _ABORTED:
            self.aborted += 1
        self._untold = untold = self._untold + 1
        if untold == TELL_EVERY:
            self.tell()

    def tell(self) -> None:
        self._progress.advance(self._untold)
        self._untold = 0
