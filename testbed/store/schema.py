"""What stands in a run folder, version by version.

::

    <run>/header.json                          Header, written before anything else, atomically
    <run>/trials/<trial>/attempt-<k>.jsonl     one JSON object per line: TrialStart first, TrialEnd last
    <run>/trials/<trial>/attempt-<k>.events    events and decisions for replay: length-prefixed MessagePack
    <run>/footer.json                          Footer, written last, atomically; none after a crash
    <run>/lock                                 held (flock) by the one process that writes

History: 1, the first. A later version may add fields with defaults under the same number; anything else takes a new
number, and the reader keeps reading the old ones (``tests/data/run-schema1`` must load for ever).
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from testbed.model.action import Decision
from testbed.model.energy import Energy
from testbed.model.environment import HostUse
from testbed.model.event import CoreEvent
from testbed.model.lab import BoardFacts
from testbed.model.profile import HwProfile
from testbed.model.record import Alignment, ClockProbe, PowerSamples, RequestRecord, TrialStatus
from testbed.units import Ns

SCHEMA = 1

COUNTS = (TrialStatus.OK, TrialStatus.LIMIT_MISSED)
"""The statuses under which a trial's figures count."""

IDLE_BEFORE = "idle-before"
IDLE_AFTER = "idle-after"
LOAD = "load"
WARMUP = "warmup"


class TrialStart(Struct, frozen=True, kw_only=True, tag="start"):
    """First line of a journal.

    Attributes:
        trial: folder name, e.g. ``00-edgesight``: letters, digits, ``-``, ``_`` and ``.``.
        attempt: counts from 1; the writer fills it in.
        block: trials of one block saw the same arrivals and inputs, so their requests pair up by id.
        arrivals_sha256: hash of everything the workload generated (arrivals, samples, targets, deadlines).
        requests: how many records are to come; what is missing in the end is reported UNFINISHED.
        first_action: where the trial's action ids start; a replay must start there too.
        t0: zero of the trial on the coordinator's monotonic clock; wall: the same instant, ISO 8601 with zone.
    """

    trial: str
    policy: str
    block: int
    seed: int
    arrivals_sha256: str
    requests: int
    t0: Ns
    wall: str
    attempt: int = 0
    first_action: int = 1


class Window(Struct, frozen=True, kw_only=True, tag="window"):
    """A named interval on the coordinator's clock.

    ``idle-before`` and ``idle-after``: boards up, no load, for the idle power. ``load``: from the first arrival to
    the last end, for the energy. ``warmup``: requests that arrive in it are kept but not analysed.
    """

    name: str
    start: Ns
    end: Ns


class BoardSeen(Struct, frozen=True, kw_only=True, tag="board"):
    """What a board said it is; once per trial and board."""

    facts: BoardFacts


class Drawn(Struct, frozen=True, kw_only=True, tag="drawn"):
    """Energy of one board over the load window that no meter sampled, since its profile says it (virtual time)."""

    board: str
    energy: Energy


class Note(Struct, frozen=True, kw_only=True, tag="note"):
    """Something a reader should know, at ``t`` on the coordinator's clock."""

    t: Ns
    text: str


class TrialEnd(Struct, frozen=True, kw_only=True, tag="end"):
    """Last line of a journal; without it the attempt is unfinished.

    Attributes:
        counters: whatever the coordinator counted, by name.
        aligned: of meters beside the boards, before and after the load.
        reason: why the status is not ``ok``.
    """

    trial: str
    attempt: int
    status: TrialStatus
    requests: int
    counters: dict[str, float] = {}
    reason: str = ""
    aligned: tuple[Alignment, ...] = ()


Entry: TypeAlias = (
    TrialStart
    | RequestRecord
    | ClockProbe
    | PowerSamples
    | Window
    | BoardSeen
    | HostUse
    | Drawn
    | Note
    | TrialEnd
)


class Decided(Struct, frozen=True, kw_only=True, tag="decided"):
    """What the policy decided at ``t``; stands behind the event it answered."""

    t: Ns
    decision: Decision


Logged: TypeAlias = CoreEvent | Decided


class Planned(Struct, frozen=True, kw_only=True):
    """A trial that the campaign means to run."""

    trial: str
    policy: str
    block: int = 0
    seed: int = 0


class Source(Struct, frozen=True, kw_only=True):
    """The live run that a run in virtual time took its lab from: identifier and wall time of its header."""

    run: str
    created: str


class Header(Struct, frozen=True, kw_only=True):
    """Everything that must be known to judge or repeat a run; written before the first trial.

    Attributes:
        run: the run's identifier; created: wall time, ISO 8601 with zone.
        experiment: its name; experiment_path: where it was read from.
        policies: in the experiment's order; the first is the subject, the others its baselines.
        planned: all trials in the order in which they are to run.
        campaign: the experiment file as data. lab_file, lab_text, lab_sha256: the lab file, verbatim.
        profiles, models: name to SHA-256. known: the profiles themselves, by board and model, measured ones included.
        agent_sha256: of the agent shipped.
        git_commit, git_dirty: of the source tree; ``None`` for an installed package.
        versions: python, numpy, onnxruntime, … to version.
        host: id, cpu, cores, os, kernel, clock source, governor, boot id.
        seeds: by purpose. thresholds: tables that policies worked from, as data, by policy.
        labels: number of classes and whatever else the report should print about the task.
        after: of a run in virtual time, the live run that its profiles and links come from; ``None`` for a live run.
    """

    run: str
    created: str
    experiment: str
    experiment_path: str
    policies: tuple[str, ...]
    planned: tuple[Planned, ...]
    campaign: dict[str, Any]
    lab_file: str
    lab_text: str
    lab_sha256: str
    profiles: dict[str, str] = {}
    models: dict[str, str] = {}
    known: dict[str, dict[str, HwProfile]] = {}
    agent_sha256: str = ""
    git_commit: str | None = None
    git_dirty: bool | None = None
    versions: dict[str, str] = {}
    host: dict[str, Any] = {}
    seeds: dict[str, int] = {}
    thresholds: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    after: Source | None = None
    schema: int = SCHEMA


class Footer(Struct, frozen=True, kw_only=True):
    """How a run ended; a resumed run replaces it.

    Attributes:
        status: ``finished``, ``interrupted`` or ``failed``; reason: why not ``finished``.
        trials: those finished.
        counts: totals by name. figures: the experiment's own headline figures.
        sha256: hash of each finished journal, by path inside the run folder; the writer fills it in.
    """

    status: str
    ended: str
    trials: tuple[str, ...] = ()
    reason: str = ""
    counts: dict[str, float] = {}
    figures: dict[str, float] = {}
    sha256: dict[str, str] = {}
    schema: int = SCHEMA


LOSSES_MODELLED = (
    "Lossy orders in virtual time: packets to a board are lost by its emulated network's seeded model (elsewhere each "
    "on its own, at the share that the lab's known run lost), and the models really answered what was left. Not "
    "modelled: lost answers, jitter and overflow on the way, time to encode and decode."
)
"""Text of a note in trials where that matters; reports repeat it, and the next one."""
NOTHING_SENT_AGAIN = (
    "Reliable orders in virtual time lose nothing, although the lab's networks do: what it takes to send again is in "
    "live response times only, so a live run must say how lossy and reliable orders compare."
)
