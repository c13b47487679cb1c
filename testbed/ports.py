"""The promises between layers: small Protocols that drivers and policies keep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from testbed.model.action import Cancel, Decision, Infer, Load
from testbed.model.carriage import Carried
from testbed.model.event import BoardDown, BoardUp, Cancelled, Executed, Failed, Loaded, NetworkSeen, Sent
from testbed.model.lab import BoardFacts, CheckResult
from testbed.model.meter import MeterTraits
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.record import ClockProbe, PowerSamples
from testbed.model.view import Health, View
from testbed.units import Ns

BoardEvent: TypeAlias = (
    Sent
    | Executed
    | Failed
    | Cancelled
    | Loaded
    | BoardUp
    | BoardDown
    | NetworkSeen
    | ClockProbe
    | PowerSamples
)
Sink: TypeAlias = Callable[[BoardEvent], None]
Payload: TypeAlias = NDArray[np.uint8]
"""Inputs of a batch, shape (items, ...)."""


class Clock(Protocol):
    """A monotonic clock."""

    def now(self) -> Ns:
        """The instant [ns]."""


class Policy(Protocol):
    """Schedules modeless requests; a deterministic function of its seed and its calls.

    It never waits, reads a clock, opens a file or logs.
    """

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """Slow path (solvers); runs off the critical path."""

    def decide(self, now: Ns, view: View) -> Decision:
        """Fast path; on every arrival, completion, timer and board change."""


class Link(Protocol):
    """A byte stream to a board. Every call is bounded in time by its driver's settings or by the caller."""

    @property
    def name(self) -> str:
        """``kind://where``, for errors."""

    @property
    def health(self) -> Health:
        """Up, degraded or down."""

    async def open(self) -> None:
        """Connect once.

        Raises:
            LinkError: refused, unreachable or timed out (`HostKeyError` for a wrong host key).
        """

    async def read(self) -> bytes:
        """Some bytes, at least one; ``b""`` once the other side is gone."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand all bytes on; waits while the link's buffer is full.

        Raises:
            LinkError: the link is down.
        """

    async def close(self) -> None:
        """Let go; idempotent, never raises for a link that is already down."""


class Board(Protocol):
    """One device that runs models: a composition of link, agent, runtime and meter."""

    @property
    def id(self) -> str:
        """Name in the lab file."""

    async def open(self, sink: Sink) -> BoardFacts:
        """Connect, deploy the agent, greet; events go to ``sink`` on the event loop from then on.

        A board that is lost later reconnects by itself with back-off (`BoardDown`, then `BoardUp`).

        Raises:
            LinkError, BoardError: it could not be brought up.
        """

    def send(
        self, order: Infer | Load | Cancel, payload: Payload | None = None, samples: tuple[int, ...] = ()
    ) -> None:
        """Queue an order; never blocks. Its fate comes as exactly one event per action.

        ``Infer`` ends in `Executed`, `Failed` or `Cancelled`; ``Load`` in `Loaded` or `Failed`.

        Args:
            order: what to do.
            payload: inputs of an ``Infer``, shape (items, ...).
            samples: index of each item's input in the task's data, -1 where unknown; empty if none is known.
        """

    async def probe(self, count: int = 8) -> None:
        """Exchange clock probes; each arrives as a `ClockProbe` at the sink."""

    async def close(self) -> None:
        """Say goodbye, stop what was started for it; bounded in time."""


class CheckableBoard(Board, Protocol):
    """A board that can be examined step by step, without being opened."""

    @property
    def resource(self) -> str:
        """The device behind it, by one name for everybody; empty where it exists for its run only.

        A lease is taken on this. It may ask the user's configuration, but contacts nothing.

        Raises:
            LinkError: that configuration cannot be read.
        """

    def checks(self) -> AsyncIterator[CheckResult]:
        """One result per step, in the order a person would look; the steps behind a failed one come as skipped."""


@runtime_checkable
class TellingBoard(Protocol):
    """A board that can be asked how it stands; not every one can."""

    async def tell(self, name: str) -> str:
        """What holds now of a setting, or ``condition``: JSON of what it knows of its temperatures and clocks.

        Raises:
            BoardError: the board is down, or has no such thing. LinkError: the link was lost.
        """


class Carrier(Protocol):
    """One network with clients at its near end, whose pictures a far end answers.

    Attributes:
        why_not: why it cannot be had here; empty where it can. facts: what the record should say of it, once open.
        counts: packets by direction (``up``, ``down``: ``entered``, ``lost``, ``dropped``), once closed.
    """

    why_not: str
    facts: dict[str, str]
    counts: dict[str, dict[str, int]]

    async def open(self) -> None:
        """Set the network up and connect every client.

        Raises:
            LinkError: it could not be done in time.
        """

    async def carry(self, client: int, number: int, picture: int) -> Carried:
        """Carry one of the pictures; returns when it was answered, which may be never.

        Args:
            number: of this request, each once for a client. picture: index.
        """

    async def close(self) -> None:
        """Take everything away; bounded in time."""


class PowerMeter(Protocol):
    """An instrument that measures one board's power: on the board, read by its agent, or beside it, read by us.

    One thread uses it. Every call is bounded in time by the driver, ``read`` to about a second.

    Attributes:
        rails: what it measures, in the order of the readings; known after ``start`` at the latest.
        total: the rails that add up to what the board draws.
        waits: ``read`` waits for the meter's own next sample, so whoever reads needs no clock of his own.
    """

    rails: Sequence[str]
    total: Sequence[str]
    waits: bool

    def start(self, period: Ns) -> None:
        """Connect, identify, and be ready to be read about every ``period`` [ns].

        Raises:
            MeterError: it cannot be used; says why and what to do.
        """

    def read(self, now: Callable[[], Ns]) -> tuple[Ns, Sequence[float]]:
        """One sample: the instant it stands for, on the clock ``now``, and finite watts for each rail.

        Stamps increase strictly, over stops and starts as well.

        Raises:
            SampleError: this sample could not be had; the next may.
            MeterError: it is gone, and has to be stopped and started again.
        """

    def stop(self) -> None:
        """Let go of everything; idempotent, never raises."""


class BenchMeter(Protocol):
    """An instrument beside a board, assigned to it in the lab file.

    Attributes:
        name: in the lab file; its samples carry it. feeds: the board whose power it measures.
    """

    name: str
    feeds: str

    @property
    def traits(self) -> MeterTraits:
        """Its errors."""

    @property
    def about(self) -> dict[str, object]:
        """``rails``, ``total`` and, once open, what it said it is."""

    async def open(self, sink: Sink) -> None:
        """Connect, identify; from then on `PowerSamples` on the coordinator's clock go to ``sink``.

        One that is lost later is connected again by itself, and the time without it is told as a fault.

        Raises:
            MeterError: it cannot be used.
        """

    async def settle(self) -> None:
        """The load to come has been shown: what was ranged automatically is fixed from now on.

        Raises:
            MeterError: the instrument refuses.
        """

    async def close(self) -> None:
        """Stop; bounded in time."""


class PowerSwitch(Protocol):
    """Switches a board's supply. Every call is bounded in time by the driver; `MeterError` where it fails."""

    async def on(self) -> None:
        """Power on; nothing happens where it is on already."""

    async def off(self) -> None:
        """Power off; nothing happens where it is off already."""

    async def cycle(self) -> None:
        """Off, long enough for the board's supply to run dry, and on."""


class RecordSink(Protocol):
    """Where finished things go; append-only."""

    def write(self, entry: Any) -> None:  # noqa: ANN401 - any tagged Struct of the journal's schema
        """Append one entry; it survives ``kill -9`` once this returns."""
