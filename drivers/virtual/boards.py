"""Boards that nobody has: real links, the real agent, and behind them a machine that is only emulated.

Kinds ``virtual-jetson`` (SSH) and ``virtual-serial`` (a serial line); a lab file that swaps a real board in changes
``kind`` and adds the link, nothing else. The far side runs in processes of its own from before the first connection
until ``close``. Everything such a board tells is of origin ``emulated``.
"""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from drivers.agent.bundle import build_agent
from drivers.boards.board import AgentBoard
from drivers.boards.composition import CommonOptions, Composition, Probe, options_of, with_relay
from drivers.boards.jetson import jetson_settings
from drivers.boards.serial import SerialOptions, serial_composition
from drivers.boards.ssh_board import SshOptions, ssh_composition
from drivers.virtual.far_side import FarSide
from drivers.virtual.faults import Faults
from drivers.virtual.late import LateLink
from drivers.virtual.machine import jetson
from drivers.virtual.machine.config import MachineConfig, Rail
from drivers.virtual.network.board import network_of
from drivers.virtual.network.options import NetworkOptions
from testbed.errors import ConfigError
from testbed.model.datagrams import LossyOptions
from testbed.model.lab import BoardSpec
from testbed.units import MS, US

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from drivers.virtual.network.datagrams import DatagramRelay
    from testbed.ports import Link


class VirtualOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lab file's ``virtual`` table: how the board is emulated.

    Attributes:
        answers: ``infer`` really runs the model; ``replay`` looks stored predictions up.
        audit_frac: share of replayed executions that are really run and compared.
        clock_offset_ms: of the board's clock; drawn within a quarter of an hour if left out.
        clock_drift_ppm: of the board's clock; drawn within 50 ppm if left out.
        seed: beside the run's own seed, which every draw depends on.
        spin_us: how long before a deadline pacing spins instead of sleeping.
        realtime: ask to run before ordinary processes, which needs the right to (root, or an rtprio limit).
        boot_ms: how long a reboot takes.
    """

    answers: Literal["infer", "replay"] = "infer"
    audit_frac: float = 0.01
    clock_offset_ms: float | None = None
    clock_drift_ppm: float | None = None
    seed: int = 0
    spin_us: int = 600
    realtime: bool = True
    boot_ms: int = 500


class VirtualJetsonOptions(CommonOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``virtual-jetson`` board.

    Attributes:
        transport, lossy, power_mode, clocks: as for a real one. network: what it stands behind.
    """

    virtual: VirtualOptions = VirtualOptions()
    transport: Literal["auto", "openssh", "paramiko"] = "auto"
    network: NetworkOptions | None = None
    lossy: LossyOptions | None = None
    power_mode: int | None = None
    clocks: dict[str, str] = {}


class VirtualSerialOptions(CommonOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a ``virtual-serial`` board; ``baud`` as for a real one."""

    virtual: VirtualOptions = VirtualOptions()
    baud: int = 115_200


class VirtualBoard(AgentBoard):
    """An agent board with faults on order.

    Attributes:
        faults: what a test may do to it while it is open.
    """

    def __init__(self, spec: BoardSpec, composition: Composition, far_side: FarSide) -> None:
        """Put it together; nothing starts."""
        super().__init__(spec, composition)
        self.faults = Faults(far_side)


def virtual_jetson(spec: BoardSpec) -> VirtualBoard:
    """A Jetson-class board behind an SSH host of our own.

    Raises:
        ConfigError: unknown options, or a model without a profile to pace it by.
    """
    options = options_of(spec, VirtualJetsonOptions)
    folder = spec.state / spec.id
    way = network_of(spec, options.network, folder, lossy=options.lossy is not None)
    config = machine_of(spec, options.virtual, folder, rails=jetson.RAILS, facts=way.facts)
    settings = jetson_settings(spec, options.power_mode, options.clocks)

    def reach(offer: Mapping[str, Any]) -> Composition:
        ssh = SshOptions(
            host=offer["host"],
            port=offer["port"],
            user=offer["user"],
            identity=offer["identity"],
            fingerprint=offer["fingerprint"],
            transport=options.transport,
            lossy=options.lossy,
        )
        return ssh_composition(spec, ssh, origin="emulated", settings=settings)

    nowhere = {"host": "127.0.0.1", "port": 22, "user": "testbed", "identity": "", "fingerprint": ""}
    lay_out = functools.partial(jetson.lay_out, config.root)
    far_side = FarSide("ssh_host", config, folder / "machine.json", lay_out=lay_out, network=way.network)
    return behind(spec, options, far_side, reach, nowhere, wrap=way.wrap, datagrams=way.datagrams)


def virtual_serial(spec: BoardSpec) -> VirtualBoard:
    """A microcontroller-class board at the end of a serial line on a pseudo-terminal.

    Raises:
        ConfigError: unknown options, or a model without a profile to pace it by.
    """
    options = options_of(spec, VirtualSerialOptions)
    folder = spec.state / spec.id
    port = folder / "by-id" / f"usb-testbed_virtual_{spec.id}-if00"
    agent = folder / "agent.pyz"
    config = machine_of(spec, options.virtual, folder, baud=options.baud, port=port, agent=agent)

    def reach(offer: Mapping[str, Any]) -> Composition:
        return serial_composition(
            spec, SerialOptions(port=offer["port"], baud=options.baud), origin="emulated"
        )

    def flash() -> None:
        build_agent(agent)

    far_side = FarSide("line", config, folder / "machine.json", lay_out=flash)
    return behind(spec, options, far_side, reach, {"port": str(port)})


def machine_of(
    spec: BoardSpec,
    options: VirtualOptions,
    folder: Path,
    *,
    rails: tuple[Rail, ...] = (),
    baud: int = 115_200,
    port: Path | None = None,
    agent: Path | None = None,
    facts: Mapping[str, str] | None = None,
) -> MachineConfig:
    """What the far side is told."""
    without = sorted(set(spec.models) - set(spec.profiles))
    if without:
        raise ConfigError(
            f"no profile of {', '.join(without)}, and a virtual board is paced by nothing else",
            file=spec.file,
            key=f"boards.{spec.id}.profiles",
            cure="Name a folder of hwprofiles that has one for each of the board's models",
        )
    draws = random.Random(f"virtual/{spec.seed}/{spec.id}/{options.seed}")
    offset_ms, drift_ppm = draws.uniform(-900_000, 900_000), draws.uniform(-50, 50)
    if options.clock_offset_ms is not None:
        offset_ms = options.clock_offset_ms
    if options.clock_drift_ppm is not None:
        drift_ppm = options.clock_drift_ppm
    return MachineConfig(
        name=spec.id,
        root=folder / "root",
        seed=draws.getrandbits(32),
        profiles={model: spec.profiles[model] for model in spec.models},
        answers=options.answers,
        audit_frac=options.audit_frac,
        predictions={
            model: files.predictions for model, files in spec.models.items() if files.predictions is not None
        },
        predictions_sha256={model: files.predictions_sha256 for model, files in spec.models.items()},
        clock_offset_ns=round(offset_ms * MS),
        clock_drift_ppb=round(drift_ppm * 1000),
        spin_ns=options.spin_us * US,
        realtime=options.realtime,
        boot_ms=options.boot_ms,
        rails=rails,
        baud=baud,
        port=port,
        agent=agent,
        facts={"answers": options.answers, **(facts or {})},
    )


def behind(
    spec: BoardSpec,
    options: CommonOptions,
    far_side: FarSide,
    reach: Callable[[Mapping[str, Any]], Composition],
    nowhere: Mapping[str, Any],
    wrap: Callable[[Link], Link] | None = None,
    datagrams: DatagramRelay | None = None,
) -> VirtualBoard:
    """Compose the real kind of board with a far side that starts before it is reached.

    Args:
        spec, options: of the lab file.
        far_side: what stands behind the link.
        reach: the composition, given what the far side offers.
        nowhere: an offer to compose with before there is one.
        wrap: put around the link. datagrams: put between it and the board's datagrams.
    """

    async def prepare() -> None:
        await far_side.start()
        real = reach(far_side.offer)
        if real.prepare is not None:
            await real.prepare()

    def looked_at(index: int) -> Callable[[], Awaitable[str]]:
        # The real kind's own step, made when the far side has said where it is.
        return lambda: reach(far_side.offer).probes[index].look()

    async def start() -> str:
        await far_side.start()
        return f"runs in a process of its own at {far_side.offer['port']}"

    async def stop() -> None:
        if datagrams is not None:
            datagrams.close()
        await far_side.stop()

    model = reach(nowhere)
    probes = [Probe(step=probe.step, look=looked_at(i)) for i, probe in enumerate(model.probes)]
    parts = msgspec.structs.replace(
        model,
        make_link=lambda: LateLink(f"virtual://{spec.id}", lambda: reach(far_side.offer).make_link()),
        prepare=prepare,
        close=stop,
        between=None if datagrams is None else datagrams.between,
        probes=(Probe(step="virtual machine", look=start), *probes),
        common=options,
        origin="emulated",
        link_origin="emulated",
        wrap=wrap,
        resource=lambda: "",  # it exists for its run only
    )
    return VirtualBoard(spec, with_relay(parts, spec), far_side)
