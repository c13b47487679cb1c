"""The rows of the report: figures with their interval, origin, or the reason why they are missing."""

from __future__ import annotations

from msgspec import Struct

from testbed.measure.pace import Pace
from testbed.measure.stats import Estimate
from testbed.model.record import Alignment
from testbed.store.reader import Damage
from testbed.store.schema import Footer, Header


class EnergyRow(Struct, frozen=True, kw_only=True):
    """Energy per answered request [mJ]; ``None`` with a reason where it could not be had.

    Attributes:
        net_mj: above idle. gross_mj: all of it. sigma_mj: standard uncertainty of the net.
        total_j, idle_j: over all load windows. origin: empty where there is no figure.
        how: ``integrated`` over samples, ``modelled`` from profiles, or ``attributed`` by a regression over the run.
    """

    net_mj: float | None
    gross_mj: float | None
    sigma_mj: float | None
    total_j: float | None
    idle_j: float | None
    origin: str
    scope: str
    reason: str
    how: str = ""


def no_energy(reason: str, scope: str = "nothing") -> EnergyRow:
    """A row without figures."""
    return EnergyRow(
        net_mj=None,
        gross_mj=None,
        sigma_mj=None,
        total_j=None,
        idle_j=None,
        origin="",
        scope=scope,
        reason=reason,
    )


class TargetRow(Struct, frozen=True, kw_only=True):
    """Requests of one policy that asked for one accuracy; times in ms.

    Attributes:
        target: accuracy asked for, ``None`` for requests that asked for none.
        accuracy: share right among those answered whose truth is known, with its interval.
        offload_frac: share of the answered whose answer rests on a data-centre step.
        deadline_miss_frac: share of those with a deadline that had no answer by then.
        energy: net, per answered request.
    """

    target: float | None
    requests: int
    answered: int
    accuracy: Estimate
    offload_frac: float | None
    p50_ms: float | None
    p95_ms: float | None
    deadline_miss_frac: float | None
    energy: EnergyRow

    @property
    def verdict(self) -> str:
        """``reached``, ``missed`` (the whole interval lies below the target) or ``not decided`` in between.

        ``no answer`` where nothing was answered, ``no target`` where none was asked for.
        """
        if self.target is None:
            return "no target"
        if self.accuracy.high is None:
            return "no answer"
        if self.accuracy.high < self.target:
            return "missed"
        value = self.accuracy.value
        return "reached" if value is not None and value >= self.target else "not decided"


class MeterRow(Struct, frozen=True, kw_only=True):
    """One meter over the load of one trial.

    Attributes:
        metered: what it covers: chip, rail, board or wall; empty where nobody said.
        used: its figure stands for the board.
        sigma_j: of the net (of the gross without one). sigma_gross_j: of the gross. budget: what makes the former [J].
        aligned: what load patterns told of its stamps, for a meter beside the board.
        idle_drift_w: idle power after less before. covered_frac, gap_frac: see `testbed.model.energy.Energy`.
    """

    trial: str
    policy: str
    board: str
    meter: str
    metered: str
    used: bool
    gross_j: float | None
    net_j: float | None
    sigma_j: float | None
    sigma_gross_j: float | None
    idle_before_w: float | None
    idle_after_w: float | None
    idle_drift_w: float | None
    samples: int
    covered_frac: float | None
    gap_frac: float | None
    budget: dict[str, float]
    aligned: tuple[Alignment, ...]
    reason: str


class CrossRow(Struct, frozen=True, kw_only=True):
    """Two meters of one board over one load: second less first, of what is compared (net or gross)."""

    trial: str
    board: str
    meters: tuple[str, str]
    metered: tuple[str, str]
    compared: str
    difference_j: float
    sigma_j: float
    agree: bool


class WorkRow(Struct, frozen=True, kw_only=True):
    """Net energy of one execution of one kind of work [mJ], mean over all of a policy's; see `EnergyRow.how`."""

    policy: str
    board: str
    model: str
    exit: int
    batch: int
    executions: int
    mean_ms: float
    net_mj: float | None
    sigma_mj: float | None
    how: str
    reason: str


class PolicyRow(Struct, frozen=True, kw_only=True):
    """All requests of one policy, over its trials.

    Attributes:
        reason: why its trials do not count, or an empty string.
        response_origin: the weakest origin among the parts of its answers; empty without answers.
        answers: answers by the board of the last step they rest on.
        lateness_p99_ms: our own generator, seen minus intended arrival; it is inside every response time.
    """

    policy: str
    trials: tuple[str, ...]
    reason: str
    requests: int
    outcomes: dict[str, int]
    answered: int
    late: int
    accuracy: Estimate
    offload_frac: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: Estimate
    deadline_miss_frac: float | None
    energy: EnergyRow
    response_origin: str
    answers: dict[str, int]
    lateness_p50_ms: float | None
    lateness_p99_ms: float | None
    targets: tuple[TargetRow, ...]


class PairRow(Struct, frozen=True, kw_only=True):
    """``first - second`` of one metric over requests that both answered; ``p_value`` of McNemar for the accuracy."""

    first: str
    second: str
    metric: str
    difference: Estimate
    p_value: float | None = None


class PaceRow(Struct, frozen=True, kw_only=True):
    """Pace error of one virtual board under one policy."""

    policy: str
    pace: Pace


class CancelRow(Struct, frozen=True, kw_only=True):
    """Orders to one board that a policy called off.

    Attributes:
        stages: items by how far they were when the cancel found them (`testbed.model.execution.CANCEL_STAGES`).
        vain_s: time that the board took for those that were too late [s]; vain_frac: of all its time at work.
    """

    policy: str
    board: str
    stages: dict[str, int]
    vain_s: float
    vain_frac: float | None


class ClockRow(Struct, frozen=True, kw_only=True):
    """How well a board's clock was known during one trial; ``bound_us`` is the median over its stamps."""

    trial: str
    board: str
    boots: int
    jumps: int
    probes: int
    min_rtt_us: float
    drift_ppm: float
    bound_us: float
    worst_bound_us: float


class BoardRow(Struct, frozen=True, kw_only=True):
    """What one board did under one policy; median times in ms, ``None`` where its stamps could not be placed."""

    policy: str
    board: str
    kind: str
    site: str
    origin: str
    link_origin: str
    steps: int
    answers: int
    failed: int
    queueing_ms: float | None
    transfer_ms: float | None
    service_ms: float | None
    service_p99_ms: float | None
    note: str


class TrialRow(Struct, frozen=True, kw_only=True):
    """One trial and how it ended; ``host_use`` how busy this host was, ``host_note`` why that counts as contended."""

    trial: str
    policy: str
    attempt: int
    block: int
    status: str
    counts: bool
    records: int
    unfinished: int
    reason: str
    host_note: str
    host_use: str = ""


class Bar(Struct, frozen=True, kw_only=True):
    """One execution in the timeline plot, seconds from the start of the stretch."""

    board: str
    request: int
    arrival_s: float
    start_s: float
    end_s: float
    answered_s: float


class Strip(Struct, frozen=True, kw_only=True):
    """A stretch of one policy's trial for the timeline plot."""

    policy: str
    seconds: float
    boards: tuple[str, ...]
    bars: tuple[Bar, ...]


class Curve(Struct, frozen=True, kw_only=True):
    """Response times of one policy at equally spaced probabilities [ms]."""

    policy: str
    ms: tuple[float, ...]


class Analysis(Struct, frozen=True, kw_only=True):
    """Everything that a report shows.

    Attributes:
        folder: the run folder's path as given.
        verdict: ``ok``; ``missed``: the first policy (the subject; the others are its baselines) missed a target or a
            trial a limit; ``incomplete``: a trial is pending or does not count.
        notes: what a reader must know to judge the figures.
    """

    folder: str
    header: Header
    footer: Footer | None
    verdict: str
    trials: tuple[TrialRow, ...]
    policies: tuple[PolicyRow, ...]
    pairs: tuple[PairRow, ...]
    paces: tuple[PaceRow, ...]
    cancels: tuple[CancelRow, ...]
    clocks: tuple[ClockRow, ...]
    boards: tuple[BoardRow, ...]
    meters: tuple[MeterRow, ...]
    crosschecks: tuple[CrossRow, ...]
    work: tuple[WorkRow, ...]
    curves: tuple[Curve, ...]
    strips: tuple[Strip, ...]
    damage: tuple[Damage, ...]
    notes: tuple[str, ...]
    figures: dict[str, float]
