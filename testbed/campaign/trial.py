"""Plays one trial: quiet, probes, load, probes, quiet; everything told goes into its journal."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import TYPE_CHECKING

from testbed.campaign.metered import meters_lost
from testbed.campaign.pattern import Ear, align_meters, beside, play_patterns
from testbed.campaign.policies import make_policy
from testbed.campaign.services import on_this_host
from testbed.coordinator.core import Core
from testbed.coordinator.live import LiveTrial
from testbed.errors import StoreError
from testbed.measure.environment import host_use, snapshot
from testbed.model.event import BoardDown, BoardUp, Executed
from testbed.model.record import ClockProbe, PowerSamples, RequestRecord, TrialStatus
from testbed.model.request import Outcome
from testbed.store.schema import IDLE_AFTER, IDLE_BEFORE, LOAD, BoardSeen, Note, TrialStart, Window
from testbed.units import from_s, to_ms
from testbed.workload.mix import draw_requests, fingerprint

if TYPE_CHECKING:
    from testbed.campaign.bench import Bench
    from testbed.campaign.design import Trial
    from testbed.campaign.progress import Progress
    from testbed.campaign.spec import Campaign
    from testbed.model.request import Request
    from testbed.policy.thresholds import ThresholdTable
    from testbed.ports import BoardEvent
    from testbed.store.writer import RunWriter, TrialWriter

IDS_PER_TRIAL = 1 << 32
"""An agent executes an action id once per fencing token, so each trial has a range of its own."""

AUDITS = ("audited", "audit_differs", "rtl_audited", "rtl_answers_differ", "rtl_cycles_differ")
"""What virtual boards report of executions that were repeated; summed over a trial."""


async def play_trial(
    trial: Trial,
    campaign: Campaign,
    bench: Bench,
    thresholds: ThresholdTable | None,
    run: RunWriter,
    progress: Progress,
) -> TrialStatus:
    """Play one trial into the run folder.

    Raises:
        PolicyError, StoreError: the trial broke; its attempt stays unfinished.
        asyncio.CancelledError: interrupted; what was open is recorded ABORTED, and the attempt as aborted.
    """
    requests = draw_requests(campaign.workload, campaign.task, bench.data.samples, trial.seed)
    options = campaign.options.get(trial.policy, {})
    name = campaign.registered.get(trial.policy, trial.policy)
    policy = make_policy(name, options, bench.lab, bench.profiles, thresholds, trial.seed, bench.data.truth)
    first_action = trial.number * IDS_PER_TRIAL + 1
    core = Core(
        policy,
        bench.inventory.setups(),
        bench.profiles,
        bench.data.payload_bytes,
        bench.data.truth,
        first_action=first_action,
    )
    start = TrialStart(
        trial=trial.id,
        policy=trial.policy,
        block=trial.block,
        seed=trial.seed,
        arrivals_sha256=fingerprint(requests),
        requests=len(requests),
        first_action=first_action,
        t0=time.monotonic_ns(),
        wall=datetime.datetime.now(datetime.UTC).isoformat(),
    )
    with run.begin(start) as journal:
        tally = _Tally(journal)
        shell = LiveTrial(
            core,
            policy,
            bench.inventory.boards,
            bench.data.inputs,
            tally,
            events=journal.events,
            on_close=progress.advance,
            on_remark=lambda t, text: journal.write(Note(t=t, text=text)),
        )
        listener = _Listener(journal, shell)
        bench.inventory.listener = listener
        for facts in bench.inventory.facts.values():
            journal.write(BoardSeen(facts=facts))
        for (board, model), loaded in bench.inventory.loads.items():
            text = f"{board} loaded {model} in {to_ms(loaded.load):.1f} ms: {loaded.text}"
            journal.write(Note(t=time.monotonic_ns(), text=text))
        bench.inventory.notes.into(listener.keep)
        watched = on_this_host(bench.inventory.facts.values())
        try:
            await bench.inventory.restore()
            played = await play_patterns(bench)
            await _quiet(journal, IDLE_BEFORE, campaign.measure.idle_s)
            await bench.inventory.probe(campaign.measure.probes)
            before = snapshot(pids=watched)
            progress.start(trial.policy, len(requests))
            begun, ended = await _load(shell, requests, bench, campaign)
            progress.done()
            journal.write(Window(name=LOAD, start=begun, end=ended))
            journal.write(host_use(before, snapshot(pids=watched)))
            await bench.inventory.probe(campaign.measure.probes)
            await _quiet(journal, IDLE_AFTER, campaign.measure.idle_s)
            played += await play_patterns(bench)
        except asyncio.CancelledError:
            journal.end(TrialStatus.ABORTED, counters=_floats(core.counters), reason=_why(bench))
            raise
        finally:
            bench.inventory.listener = lambda _: None
            bench.inventory.notes.into(None)
        ear = listener.ear
        lost = meters_lost(bench.inventory.facts, ear.samples, ear.probes, (begun, ended))
        status, reason = _judge(tally, listener, lost)
        aligned = align_meters(played, beside(bench), bench.inventory.facts, ear.samples, ear.probes)
        journal.end(status, counters=_floats(core.counters) | listener.audits, reason=reason, aligned=aligned)
        return status


def _why(bench: Bench) -> str:
    """Why a trial was broken off: by its user, or because its boards are no longer ours."""
    return str(bench.inventory.leasing.lost or "interrupted")


async def _load(
    shell: LiveTrial, requests: list[Request], bench: Bench, campaign: Campaign
) -> tuple[int, int]:
    """The load itself, with clock probes in between."""
    probing = asyncio.create_task(_keep_probing(bench, campaign.measure.every_s))
    try:
        return await shell.run(requests, bench.inventory.known(), from_s(campaign.measure.limit_s))
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)


async def _keep_probing(bench: Bench, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await bench.inventory.probe(8)


async def _quiet(journal: TrialWriter, name: str, seconds: float) -> None:
    begun = time.monotonic_ns()
    await asyncio.sleep(seconds)
    journal.write(Window(name=name, start=begun, end=time.monotonic_ns()))


class _Tally:
    """Writes records through and counts their outcomes."""

    def __init__(self, journal: TrialWriter) -> None:
        self._journal = journal
        self.outcomes: dict[Outcome, int] = {}

    def write(self, entry: RequestRecord) -> None:
        self._journal.write(entry)
        self.outcomes[entry.outcome] = self.outcomes.get(entry.outcome, 0) + 1


class _Listener:
    """Takes what boards tell: instruments into the journal, the rest to the shell."""

    def __init__(self, journal: TrialWriter, shell: LiveTrial) -> None:
        self._journal = journal
        self._shell = shell
        self.down: dict[str, str] = {}
        self.lost: list[str] = []
        self.audits: dict[str, float] = {}
        self.ear = Ear()

    def __call__(self, event: BoardEvent) -> None:
        match event:
            case ClockProbe():
                self.ear.probes.append(event)
                self.keep(event)
                return
            case PowerSamples():
                self.ear.samples.append(event)
                self.keep(event)
                return
            case BoardDown():
                self.down[event.board] = event.error
                self.lost.append(f"{event.board}: {event.error}")
                self.keep(Note(t=event.t, text=f"{event.board} is down: {event.error}"))
            case BoardUp():
                self.down.pop(event.board, None)
                self.keep(Note(t=event.t, text=f"{event.board} is up, connection {event.boot}"))
            case Executed():
                notes = event.execution.notes
                for name in AUDITS:
                    if name in notes:
                        self.audits[name] = self.audits.get(name, 0.0) + notes[name]
        self._shell.on_event(event)

    def keep(self, entry: ClockProbe | PowerSamples | Note) -> None:
        """Write into the journal what no shell needs."""
        try:
            self._journal.write(entry)
        except StoreError as error:  # a full disk is the trial's end, not the board's
            self._shell.break_off(error)


def _judge(tally: _Tally, listener: _Listener, meters: list[str]) -> tuple[TrialStatus, str]:
    """Whether the trial counts: a board or meter lost on the way is not a result of the policy."""
    if listener.down:
        return TrialStatus.BOARD_ERROR, "; ".join(
            f"{board} down: {why}" for board, why in listener.down.items()
        )
    if listener.lost:
        return TrialStatus.LINK_ERROR, "; ".join(listener.lost)
    if tally.outcomes.get(Outcome.ABORTED):
        return TrialStatus.TIMEOUT, f"{tally.outcomes[Outcome.ABORTED]} requests open at the trial's limit"
    if meters:
        return TrialStatus.METER_ERROR, "; ".join(meters)
    return TrialStatus.OK, ""


def _floats(counters: dict[str, int]) -> dict[str, float]:
    return {name: float(value) for name, value in counters.items()}
