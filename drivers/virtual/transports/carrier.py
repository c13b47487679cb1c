"""A carrier on this host: a packet-level network in a namespace, the far end's process in it, and the clients.

Entry point ``virtual`` of ``testbed.carriers``. Everything about the network is of origin ``emulated``; the clients'
and the far end's sockets, the kernel's TCP and the cipher are real. While carriers are open, the thread that opened
them runs before ordinary processes, where the user may, as the far ends do: what they compute is little, and has to be
on time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from drivers.virtual.child import Child
from drivers.virtual.network.forwarder import ForwarderConfig
from drivers.virtual.network.options import NetworkOptions
from drivers.virtual.network.process import Network
from drivers.virtual.network.tun import why_not
from drivers.virtual.transports import coding
from drivers.virtual.transports.far import FarConfig
from drivers.virtual.transports.near import NearClient
from drivers.virtual.transports.options import CarrierOptions
from testbed.errors import ConfigError, LinkError
from testbed.model.lab import parse_options
from testbed.wire.jpeg import split
from testbed.wire.sealing import KEY_BYTES

if TYPE_CHECKING:
    from testbed.model.carriage import Carried, CarrierSpec

START_S = 30.0
CONNECT_S = 60.0
STOP_S = 5.0
TRANSPORTS = ("lossy", "tcp", "fec")


class _Priority:
    """Of the thread that has carriers open; what it starts does not inherit it."""

    def __init__(self) -> None:
        self._open = 0

    def take(self) -> None:
        self._open += 1
        if self._open == 1:
            self._set(os.SCHED_RR | os.SCHED_RESET_ON_FORK, 1)

    def leave(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._set(os.SCHED_OTHER, 0)

    @staticmethod
    def _set(policy: int, priority: int) -> None:
        with contextlib.suppress(PermissionError):  # root may be without the capability, in a container
            os.sched_setscheduler(0, policy, os.sched_param(priority))


_PRIORITY = _Priority()


class VirtualCarrier:
    """One network and its clients; satisfies `testbed.ports.Carrier`."""

    def __init__(self, spec: CarrierSpec) -> None:
        """Check the options; nothing starts.

        Raises:
            ConfigError: unknown options or transport. LocalWireError: a picture is no JPEG that can be split.
        """
        if spec.transport not in TRANSPORTS:
            cure = f"One of {', '.join(TRANSPORTS)}"
            raise ConfigError(f"no transport {spec.transport!r}", file=spec.file, key="transport", cure=cure)
        self._spec = spec
        self._options = parse_options(spec.options, CarrierOptions, file=spec.file, key="live")
        network = parse_options(spec.network, NetworkOptions, file=spec.file, key="live.network")
        self.why_not = why_not() or (coding.why_not() if spec.transport == "fec" else "")
        self._pictures = [split(data, spec.quality) for data in spec.pictures]
        folder = spec.state / spec.name
        self._network = Network(
            f"carrier://{spec.name}",
            ForwarderConfig(options=network, seed=spec.seed, beside=str(spec.file.parent)),
            folder / "network.json",
        )
        self._file = folder / "far.json"
        self._far = Child(folder / "far.log")
        self._clients: list[NearClient] = []
        self._priority = False
        self.facts: dict[str, str] = {}
        self.counts: dict[str, dict[str, int]] = {}

    async def open(self) -> None:
        """Set the network up and connect every client.

        Raises:
            LinkError: it could not be done in time; the log is named.
        """
        await self._network.start()
        self._priority = True
        _PRIORITY.take()
        address: str = self._network.offer["board"]
        config = FarConfig(address=address, clients=self._spec.clients, options=self._options)
        self._file.write_bytes(msgspec.json.encode(config))
        keys = [os.urandom(KEY_BYTES) for _ in range(2 * self._spec.clients)]
        command = self._network.inside(
            sys.executable, "-m", "drivers.virtual.transports.far", str(self._file)
        )
        try:
            await self._far.start(command, START_S)
            self._far.say({"keys": [key.hex() for key in keys]})
            async with asyncio.timeout(START_S):
                offer: dict[str, Any] = await self._far.hear()
            async with asyncio.timeout(CONNECT_S), asyncio.TaskGroup() as group:
                for place, (tcp, udp) in enumerate(offer["ports"]):
                    pair = (keys[2 * place], keys[2 * place + 1])
                    client = NearClient(self._spec.transport, pair, self._options)  # type: ignore[arg-type]
                    self._clients.append(client)
                    group.create_task(client.connect(address, tcp, udp))
        except (TimeoutError, EOFError, OSError, ExceptionGroup) as error:
            last = "".join(self._far.last_lines().strip().splitlines()[-1:])
            await self.close()
            raise LinkError(
                f"the far end was not reached: {last or error!r}",
                link=f"carrier://{self._spec.name}",
                cure=f"See {self._far.log}",
            ) from error
        self.facts = {"congestion": offer["congestion"], "network": "tun, every packet emulated"}

    async def carry(self, client: int, number: int, picture: int) -> Carried:
        """Carry one of the pictures; returns when it was answered, which may be never.

        Raises:
            LocalWireError: a segment does not fit a packet.
        """
        return await self._clients[client].carry(number, self._pictures[picture])

    async def close(self) -> None:
        """Take everything away."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self._priority:
            self._priority = False
            _PRIORITY.leave()
        await self._far.stop(STOP_S)
        await self._network.stop()
        self.counts = {way: self._network.counts.get(way, {}) for way in ("up", "down")}


def virtual(spec: CarrierSpec) -> VirtualCarrier:
    """A carrier over a network on this host."""
    return VirtualCarrier(spec)
