"""A board on a serial line: the agent is installed there beforehand, and its hash is checked at the greeting.

Lines lose and invent bytes, so everything unanswered is sent again. The line is paced at its own rate, which keeps
the operating system's buffer short: a cancel does not queue behind seconds of input, and "sent" means sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.agent.bundle import agent_source_sha256
from drivers.boards.board import AgentBoard
from drivers.boards.composition import CommonOptions, Composition, options_of, with_relay
from drivers.links.serial import BITS_PER_BYTE, SerialConfig, SerialLink, stable_port
from testbed.wire.session import SERIAL_CHUNK_BYTES

if TYPE_CHECKING:
    from testbed.model.lab import BoardSpec
    from testbed.ports import CheckableBoard

_PIECE_BYTES = 2048


class SerialOptions(CommonOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of ``kind = "serial"``.

    Attributes:
        port, baud, rtscts, xonxoff, wait_s: as in `SerialConfig`.
        pace_bytes_per_s: never hand on faster; ``None`` for the line's own rate.
        agent_sha256: the agent that must be there; ``None`` for the one of this version, empty for any.
        runtime: replaces the runtime that the models name.
        max_inflight: few, since the line is slower than the board: what waits here can still be taken back.
    """

    port: str
    baud: int = 115200
    rtscts: bool = False
    xonxoff: bool = False
    wait_s: float = 5.0
    pace_bytes_per_s: int | None = None
    agent_sha256: str | None = None
    runtime: str | None = None
    max_inflight: int = 8


def serial(spec: BoardSpec) -> CheckableBoard:
    """The board of a ``kind = "serial"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    return AgentBoard(spec, with_relay(serial_composition(spec, options_of(spec, SerialOptions)), spec))


def serial_composition(spec: BoardSpec, options: SerialOptions, *, origin: str = "measured") -> Composition:
    """The parts of a board on a serial line."""
    line = options.baud // BITS_PER_BYTE
    config = SerialConfig(
        port=options.port,
        baud=options.baud,
        rtscts=options.rtscts,
        xonxoff=options.xonxoff,
        wait_s=options.wait_s,
        pace_bytes_per_s=line if options.pace_bytes_per_s is None else options.pace_bytes_per_s,
        pace_chunk_bytes=SERIAL_CHUNK_BYTES // 2,
    )
    wanted = agent_source_sha256() if options.agent_sha256 is None else options.agent_sha256
    return Composition(
        kind=spec.kind,
        make_link=lambda: SerialLink(config),
        origin=origin,
        link_origin=origin,
        agent_sha256=wanted,
        lossy=True,
        line_bytes_per_s=config.bytes_per_s,
        chunk_bytes=SERIAL_CHUNK_BYTES,
        piece_bytes=_PIECE_BYTES,
        common=options,
        runtime=options.runtime,
        resource=lambda: f"serial://{stable_port(config.port)}",
    )
