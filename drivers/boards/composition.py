"""What an agent board is put together from: values that a kind of board fills in, no subclassing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from testbed.model.datagrams import LossyOptions
from testbed.model.lab import BoardSpec, CheckResult, ModelFiles, parse_options
from testbed.model.ranges import AtLeastOne, Count
from testbed.ports import Link
from testbed.units import MS, Ns
from testbed.wire.session import DEFAULT_CHUNK_BYTES

Wrap: TypeAlias = Callable[[Link], Link]


class CommonOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every board of a lab file may set; each kind adds its own.

    Attributes:
        timeout_ms: an action without an answer this long after it was handed to the link has failed.
        load_timeout_ms: the same for making a model resident; building an engine on the board takes minutes.
        connect_timeout_ms: bound of greeting the agent, beside the link's own.
        silence_ms: a link on which nothing was heard for so long, though asked, is given up.
        meter_period_ms: stream the board's own power meters with this period; 0 does not.
        meters: which of them, by name (``testbed doctor`` lists them); none named: the one the agent prefers.
        max_inflight: actions on the board at a time; 0 for as many as its agent takes.
        relay: emulated delay and rate of the way to the board (see `drivers.virtual.relay`).
    """

    timeout_ms: AtLeastOne = 10_000
    load_timeout_ms: AtLeastOne = 120_000
    connect_timeout_ms: AtLeastOne = 15_000
    silence_ms: AtLeastOne = 10_000
    meter_period_ms: Count = 0
    meters: tuple[str, ...] = ()
    max_inflight: Count = 0
    relay: dict[str, Any] | None = None

    @property
    def timeout(self) -> Ns:
        """``timeout_ms`` in ns."""
        return self.timeout_ms * MS


class Probe(Struct, frozen=True, kw_only=True):
    """A step of examining a board before its agent is greeted: its name and what does the looking.

    ``look`` gives the finding, or raises a `TestbedError` whose cure is shown.
    """

    step: str
    look: Callable[[], Awaitable[str]]


class Composition(Struct, frozen=True, kw_only=True):
    """One board's parts.

    Attributes:
        make_link: a link for the board's whole life; it is opened again for every connection.
        prepare: run before every connection (deploy the agent, start an emulated machine).
        close: run after the last connection.
        probes: what ``doctor`` looks at before greeting the agent.
        origin: of service times. link_origin: of the time on the way.
        agent_sha256: the agent we insist on, or empty.
        lossy: bytes may be lost or damaged on the way; lost messages are sent again.
        line_bytes_per_s: rate of the line if known, else it is estimated from uploads.
        chunk_bytes: largest frame payload we send. piece_bytes: files travel in pieces of this size.
        runtime: replaces the runtime that the model names.
        load_options: merged over the model's own options for the runtime.
        settings: board settings to hold during the run, restored at the end (power mode, clocks).
        wrap: put around the link, a relay for example.
        resource: names the device behind the board, for leases; empty where it exists for this run only.
        lossy_orders: how pictures travel in packets; ``None`` for a board that takes none.
        between: stands in the way of datagrams: takes where the board is, gives where to send.
    """

    kind: str
    make_link: Callable[[], Link]
    prepare: Callable[[], Awaitable[None]] | None = None
    close: Callable[[], Awaitable[None]] | None = None
    probes: tuple[Probe, ...] = ()
    origin: str = "measured"
    link_origin: str = "measured"
    agent_sha256: str = ""
    lossy: bool = False
    line_bytes_per_s: float | None = None
    chunk_bytes: int = DEFAULT_CHUNK_BYTES
    piece_bytes: int = 64 * 1024
    common: CommonOptions = CommonOptions()
    runtime: str | None = None
    load_options: Callable[[ModelFiles], dict[str, Any]] | None = None
    settings: dict[str, str] = {}
    wrap: Wrap | None = None
    resource: Callable[[], str] = lambda: ""
    lossy_orders: LossyOptions | None = None
    between: Callable[[str, int], Awaitable[tuple[str, int]]] | None = None

    def link(self) -> Link:
        """The link, wrapped."""
        link = self.make_link()
        return self.wrap(link) if self.wrap is not None else link


OptionsT = TypeVar("OptionsT", bound=CommonOptions)


def options_of(spec: BoardSpec, kind: type[OptionsT]) -> OptionsT:
    """The board's table as a value.

    Raises:
        ConfigError: unknown key or wrong type, with file and key.
    """
    return parse_options(spec.options, kind, file=spec.file, key=f"boards.{spec.id}")


def with_relay(composition: Composition, spec: BoardSpec) -> Composition:
    """The same board at the end of the way that its ``relay`` table describes, if it has one.

    Raises:
        ConfigError: the table is wrong.
    """
    table = composition.common.relay
    if table is None:
        return composition
    from drivers.virtual.relay import RelayOptions, relay  # only labs that emulate a way need the emulation

    key = f"boards.{spec.id}.relay"
    options = parse_options(table, RelayOptions, file=spec.file, key=key)
    rate = options.rate_mbit
    return msgspec.structs.replace(
        composition,
        wrap=lambda link: relay(link, options, spec.seed),
        link_origin="emulated",
        line_bytes_per_s=rate * 1e6 / 8 if rate else composition.line_bytes_per_s,
    )


def ok(step: str, finding: str) -> CheckResult:
    """A step that went well."""
    return CheckResult(step=step, state="ok", finding=finding)


def failed(step: str, finding: str, cure: str) -> CheckResult:
    """A step that found what would make a run fail, and what to do about it."""
    return CheckResult(step=step, state="failed", finding=finding, cure=cure)
