"""A relay for datagrams, where no packet-level network can be had: holds or drops each as its way says.

Stands between a host's socket and a board's, both real; only datagrams are lost here, and the byte stream beside them
loses nothing, which a real network would not spare it. Seeded: the same datagrams in the same order meet the same fate.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from drivers.virtual.network.way import PacketWay
from testbed.units import S

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.virtual.network.options import NetworkOptions

_HEADERS_BYTES = 28
"""IPv4 and UDP, which a wire's rate counts too."""


class DatagramRelay:
    """One board's relay; a new channel takes the place of the one before.

    Attributes:
        ways: ``up`` and ``down`` with what they counted; kept from one channel to the next.
    """

    def __init__(self, options: NetworkOptions, seed: str, beside: Path) -> None:
        """Nothing is open.

        Raises:
            ConfigError: a trace cannot be read.
        """
        self.ways = {
            name: PacketWay(getattr(options, name), f"{seed}/datagrams/{name}", beside)
            for name in ("up", "down")
        }
        self._epoch: float | None = None
        self._near: _End | None = None
        self._far: _End | None = None

    async def between(self, host: str, port: int) -> tuple[str, int]:
        """Where to send to instead of there.

        Raises:
            OSError: no socket can be had.
        """
        self.close()
        loop = asyncio.get_running_loop()
        _, self._far = await loop.create_datagram_endpoint(
            lambda: _End(self, "down"), remote_addr=(host, port)
        )
        _, self._near = await loop.create_datagram_endpoint(
            lambda: _End(self, "up"), local_addr=("127.0.0.1", 0)
        )
        address: tuple[str, int] = self._near.transport.get_extra_info("sockname")
        return address[:2]

    def close(self) -> None:
        """Close both sockets; what is under way is lost."""
        for end in (self._near, self._far):
            if end is not None:
                end.transport.close()
        self._near = self._far = None

    def take(self, name: str, data: bytes, source: Any) -> None:  # noqa: ANN401 - an address of any family
        """A datagram enters."""
        loop = asyncio.get_running_loop()
        if self._epoch is None:
            self._epoch = loop.time()
        out = self._far if name == "up" else self._near
        if name == "up" and self._near is not None:
            self._near.peer = source
        now = round((loop.time() - self._epoch) * S)
        exit_ = self.ways[name].enter(now, len(data) + _HEADERS_BYTES)
        if exit_ is None or out is None:
            return
        if exit_ <= now:
            out.give(data)
        else:
            loop.call_at(self._epoch + exit_ / S, out.give, data)


class _End(asyncio.DatagramProtocol):
    """One of the two sockets; ``peer`` is where it sends, ``None`` for whom it is connected to."""

    transport: asyncio.DatagramTransport

    def __init__(self, relay: DatagramRelay, name: str) -> None:
        self._relay = relay
        self._name = name
        self.peer: Any = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as asyncio has it
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401
        self._relay.take(self._name, data, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: lost, like anything else."""

    def give(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.sendto(data, self.peer)
