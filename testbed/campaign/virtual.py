"""Plays an experiment in virtual time: the same campaign, core and policies on boards that are draws from profiles.

What it knows of the lab comes from an earlier live run: the profiles that run used (the host's measured at its
start), and the way to each board as its probes saw it. Everything it writes is of origin ``modelled``.
"""

from __future__ import annotations

import datetime
import gc
from typing import TYPE_CHECKING

from testbed.campaign.data import Data
from testbed.campaign.design import design
from testbed.campaign.loss.channels import network_loses
from testbed.campaign.pages import first_page, last_page
from testbed.campaign.policies import calibrated, check_options, check_policies, make_policy
from testbed.campaign.progress import Progress, Silent
from testbed.campaign.run import new_folder
from testbed.campaign.spec import read_campaign
from testbed.campaign.virtual_lab import VirtualLab, known_events, modelled_boards
from testbed.coordinator.boards import board_setups
from testbed.coordinator.core import Core
from testbed.coordinator.labfile import read_lab
from testbed.coordinator.simulate import Costs, VirtualTrial
from testbed.model.action import Transport
from testbed.model.lab import BoardFacts
from testbed.model.origin import Origin
from testbed.model.record import TrialStatus
from testbed.model.request import Outcome
from testbed.store.reader import read_run
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
    from testbed.campaign.spec import Campaign
    from testbed.model.record import RequestRecord
    from testbed.model.request import Request
    from testbed.policy.thresholds import ThresholdTable
    from testbed.store.writer import TrialWriter

YOUNG = 20_000
"""Objects that may come before they are looked through for garbage; the interpreter's own is 700."""


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
