"""Puts a virtual board behind the network that its lab file describes, with the back end that can be had here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from drivers.virtual.network.datagrams import DatagramRelay
from drivers.virtual.network.forwarder import ForwarderConfig
from drivers.virtual.network.process import Network
from drivers.virtual.network.stream import StreamWay, refuse_loss
from drivers.virtual.network.tun import why_not
from drivers.virtual.relay import Relayed
from testbed.errors import ConfigError
from testbed.model.losses import LossOptions
from testbed.ports import Link

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.virtual.network.options import NetworkOptions
    from testbed.model.lab import BoardSpec

BUFFER_BYTES = 1 << 20


class BoardWay(Struct, frozen=True):
    """How a board is reached.

    Attributes:
        network: to be started before the board. wrap: to be put around its link. One of them, or neither.
        datagrams: with ``wrap``, where the board takes lossy orders.
        facts: what the run's record says of it.
    """

    network: Network | None = None
    wrap: Callable[[Link], Link] | None = None
    datagrams: DatagramRelay | None = None
    facts: dict[str, str] = {}


def network_of(
    spec: BoardSpec, options: NetworkOptions | None, folder: Path, *, lossy: bool = False
) -> BoardWay:
    """The way of a board's ``network`` table.

    Args:
        lossy: the board takes lossy orders: a relay then loses packets of theirs, and none of the stream's.

    Raises:
        ConfigError: the back end asked for cannot be had, a trace cannot be read, or there is a ``relay`` as well.
    """
    if options is None:
        return BoardWay()
    key = f"boards.{spec.id}.network"
    if spec.options.get("relay") is not None:
        raise ConfigError(
            "a board has either a network or a relay", file=spec.file, key=key, cure="Drop one of them"
        )
    why = why_not()
    if options.backend == "tun" and why:
        cure = 'Run as root, or take backend = "relay"'
        raise ConfigError(
            f"no packet-level network here: {why}", file=spec.file, key=f"{key}.backend", cure=cure
        )
    seed = f"network/{spec.seed}/{spec.id}/{options.seed}"
    beside = spec.file.parent
    told = msgspec.json.encode(options).decode()
    ways = {"up": options.up, "down": options.down}

    def make_way(name: str) -> StreamWay:
        lossless = msgspec.structs.replace(ways[name], loss=LossOptions())
        return StreamWay(lossless, f"{seed}/{name}", beside)

    for name in ways:
        make_way(name)  # a trace that cannot be read is refused before anything runs
    if options.backend != "relay" and not why:
        config = ForwarderConfig(options=options, seed=seed, beside=str(beside))
        network = Network(f"network://{spec.id}", config, folder / "network.json")
        return BoardWay(network=network, facts={"network": f"tun, every packet emulated: {told}"})
    if not lossy:
        refuse_loss(options, file=spec.file, key=key)
    return BoardWay(
        wrap=lambda link: Relayed(link, make_way, BUFFER_BYTES),
        datagrams=DatagramRelay(options, seed, beside) if lossy else None,
        facts={
            "network": f"relay, bytes delayed above the transport ({why or 'as asked'})"
            f"{', only datagrams get lost' if lossy else ''}: {told}"
        },
    )
