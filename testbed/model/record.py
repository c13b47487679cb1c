"""What is kept of a request for ever."""

from __future__ import annotations

import enum

from msgspec import Struct

from testbed.model.execution import Step
from testbed.model.ids import StepId
from testbed.model.request import Outcome, Request
from testbed.units import Ns


class RequestRecord(Struct, frozen=True, gc=False, kw_only=True, tag="request"):
    """One request from arrival to end, losers of a speculation included.

    Attributes:
        seen: when the coordinator took it in; ``seen - request.arrival`` is our own lateness.
        ended: when its outcome was fixed.
        label: class answered, ``None`` where there is no answer.
        correct: whether ``label`` is the true one; ``None`` where there is no answer or no truth.
        used: the steps the answer rests on.
        predicted_finish, predicted_accuracy: what the policy believed at its first order.
        reason: why it was rejected, failed or aborted.
        best_accuracy: on offer when it was rejected.
    """

    request: Request
    outcome: Outcome
    seen: Ns
    ended: Ns
    label: int | None = None
    correct: bool | None = None
    steps: tuple[Step, ...] = ()
    used: tuple[StepId, ...] = ()
    predicted_finish: Ns | None = None
    predicted_accuracy: float | None = None
    reason: str = ""
    best_accuracy: float | None = None

    @property
    def response(self) -> Ns:
        """From intended arrival to the end: no coordinated omission."""
        return self.ended - self.request.arrival

    @property
    def late(self) -> bool:
        """Answered, but after its deadline."""
        return self.request.deadline is not None and self.ended > self.request.deadline


class TrialStatus(enum.Enum):
    """Whether a trial counts; only the first two do."""

    OK = "ok"
    LIMIT_MISSED = "limit_missed"
    BOARD_ERROR = "board_error"
    LINK_ERROR = "link_error"
    METER_ERROR = "meter_error"
    INFRA_ERROR = "infra_error"
    TIMEOUT = "timeout"
    ABORTED = "aborted"


class ClockProbe(Struct, frozen=True, kw_only=True, tag="probe"):
    """Four stamps of one in-band probe.

    Attributes:
        t0, t3: sent and answered on the coordinator's clock. t1, t2: received and sent on the board's.
        boot: counts the board's connections.
        wire_up, wire_down: modelled line time of the probe's bytes each way [ns], to be subtracted (serial).
    """

    board: str
    boot: int
    t0: Ns
    t1: Ns
    t2: Ns
    t3: Ns
    wire_up: Ns = 0
    wire_down: Ns = 0


class SampleFault(Struct, frozen=True, kw_only=True):
    """Readings of one kind in a row that gave no sample: there is no power to tell between these stamps.

    Attributes:
        kind: ``saturated``: the meter was at the end of its range, and the truth is larger than it can show;
            ``garbage``: what came was no reading; ``no answer``: nothing came; ``lost``: the meter had to be
            started again.
        first, last: stamps of the first and the last of them, on the clock of the samples beside [ns].
        count: how many there were.
    """

    kind: str
    first: Ns
    last: Ns
    count: int


class PowerSamples(Struct, frozen=True, kw_only=True, tag="power"):
    """A block of samples as a board's sampler, or that of a meter beside it, sent them.

    Attributes:
        boot: whose clock ``t`` is on: a connection of the board, or -1 for the coordinator's.
        t: [ns], shape (n,). power_w: shape (n * rails,), row by row; every value is finite.
        dropped: samples the sampler had but could not deliver before this block.
        total: the rails that make up the board's total; others must not be added to it.
        faults: what was read without becoming a sample, since the last block.
    """

    board: str
    boot: int
    meter: str
    rails: tuple[str, ...]
    total: tuple[str, ...]
    t: tuple[Ns, ...]
    power_w: tuple[float, ...]
    origin: str
    dropped: int = 0
    faults: tuple[SampleFault, ...] = ()


class Alignment(Struct, frozen=True, kw_only=True):
    """How far a meter's stamps are off, as a load pattern played on its board shows.

    Attributes:
        at: middle of the pattern, coordinator's clock [ns].
        offset: what the stamps are late by, the meter's own delay apart; ``None`` where it could not be had.
        error: its standard uncertainty [ns]. correlation: of the samples with the pattern at that offset.
        reason: why there is no offset, or an empty string.
    """

    board: str
    meter: str
    at: Ns
    offset: Ns | None = None
    error: Ns = 0
    correlation: float = 0.0
    reason: str = ""
