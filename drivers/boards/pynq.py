"""PYNQ boards over SSH or on their serial console: inference in programmable logic, through the board's own pynq.

Makers: Digilent (PYNQ-Z1), TUL (PYNQ-Z2), AMD (ZCU104). Manuals: PYNQ documentation, "Overlay Design"; Zynq-7000 TRM
(UG585), Zynq UltraScale+ TRM (UG1085). pynq 3.x on Z1/Z2 images, 4.x on ZCU104. Temperature comes from the chip's own
sensor (XADC ±4 °C, DS187), which the agent tells by itself; Z1 and Z2 have no current sensor, so their power needs a
meter beside the board. Written from the documentation, tested on simulated boards; not yet run on the hardware.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from drivers.boards.board import AgentBoard
from drivers.boards.composition import options_of, with_relay
from drivers.boards.overlay_file import choose, read_overlay
from drivers.boards.programs import program_of
from drivers.boards.serial import SerialOptions, serial_composition
from drivers.boards.ssh_board import SshOptions, command_probe, ssh_composition
from testbed.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.boards.composition import Composition
    from drivers.boards.overlay_file import Chosen
    from drivers.links.deploy import CommandResult
    from testbed.model.lab import BoardSpec, ModelFiles
    from testbed.ports import CheckableBoard

RUNTIME = "overlay"
_WHO = ["cat", "/proc/device-tree/chosen/pynq_board", "/proc/device-tree/model"]


class OverlayTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lab file's ``overlay`` table of a board.

    Attributes:
        manifest: an ``overlay.toml``, relative to the lab file.
        board: the board's type, as the manifest's builds name it.
        programs: folders of compiled programs, relative to the lab file, looked through before those shipped.
        on_board: folder on the board that holds bitstream and ``.hwh`` already; on a serial line they take minutes.
        timeout_ms: bound of one execution.
    """

    manifest: str
    board: str
    programs: tuple[str, ...] = ()
    on_board: str | None = None
    timeout_ms: int = 2000


class PynqOptions(SshOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of ``kind = "pynq"``, beside those of every board over SSH.

    Attributes:
        python: runs the agent with pynq and as root; docs/pynq-boards.md has the wrapper that does.
    """

    overlay: OverlayTable
    user: str | None = "xilinx"
    python: str = "/usr/local/bin/testbed-python"


class PynqSerialOptions(SerialOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of ``kind = "pynq-serial"``, beside those of every board on a serial line."""

    overlay: OverlayTable


def pynq(spec: BoardSpec) -> CheckableBoard:
    """The board of a ``kind = "pynq"`` table.

    Raises:
        ConfigError: its options are wrong, there is no bitstream for it, or no program of one of its models.
    """
    options = options_of(spec, PynqOptions)
    identity = command_probe("pynq", options.ssh, _WHO, _tell)

    def compose(spec: BoardSpec) -> Composition:
        return ssh_composition(spec, options, probes=(identity,))

    return _board(spec, options.overlay, compose)


def pynq_serial(spec: BoardSpec) -> CheckableBoard:
    """The board of a ``kind = "pynq-serial"`` table.

    Raises:
        ConfigError: as `pynq`.
    """
    options = options_of(spec, PynqSerialOptions)
    return _board(spec, options.overlay, lambda spec: serial_composition(spec, options))


def _board(
    spec: BoardSpec, table: OverlayTable, compose: Callable[[BoardSpec], Composition]
) -> CheckableBoard:
    chosen = overlay_of(spec, table)
    if table.on_board is None:
        chosen.check()
    spec = with_programs(spec, table, chosen, files=table.on_board is None)
    parts = msgspec.structs.replace(compose(spec), runtime=RUNTIME, load_options=load_options(table, chosen))
    return AgentBoard(spec, with_relay(parts, spec))


def overlay_of(spec: BoardSpec, table: OverlayTable) -> Chosen:
    """The build that a board gets.

    Raises:
        ConfigError: the manifest is wrong or has none for it.
    """
    file = beside(spec, table.manifest)
    return choose(read_overlay(file), table.board, file)


def with_programs(spec: BoardSpec, table: OverlayTable, chosen: Chosen, *, files: bool) -> BoardSpec:
    """The same board, whose models travel as compiled programs instead of ONNX files.

    Args:
        files: bitstream and ``.hwh`` travel behind them.

    Raises:
        ConfigError: one has no program.
    """
    folders = [beside(spec, name) for name in table.programs]
    behind = (chosen.files, chosen.sha256) if files else ((), ())
    models: dict[str, ModelFiles] = {}
    for name, model in spec.models.items():
        paths: tuple[Path, ...] = ()
        hashes: tuple[str, ...] = ()
        if chosen.manifest["kind"] == "edge-npu":
            key = f"boards.{spec.id}.models"
            found = program_of(model, folders, file=spec.file, key=key)
            paths, hashes = (found.path,), (found.sha256,)
        models[name] = msgspec.structs.replace(
            model, paths=(*paths, *behind[0]), sha256=(*hashes, *behind[1]), runtime=RUNTIME
        )
    return msgspec.structs.replace(spec, models=models)


def load_options(table: OverlayTable, chosen: Chosen) -> Callable[[ModelFiles], dict[str, Any]]:
    """What the agent's runtime is told with every model."""
    told: dict[str, Any] = {"overlay": chosen.manifest, "timeout_ms": table.timeout_ms}
    if table.on_board is not None:
        names = (file.name for file in chosen.files)
        told |= {"folder": table.on_board, **dict(zip(("bitstream", "hwh", "golden"), names, strict=False))}
    return lambda files: told


def beside(spec: BoardSpec, name: str) -> Path:
    """A path of the lab file, which is relative to it."""
    return spec.file.parent / Path(name).expanduser()


def _tell(done: CommandResult) -> str:
    found = [part.strip() for part in done.out.split("\0") if part.strip()]
    if not found:
        cure = "Name a board whose system has a device tree; see docs/pynq-boards.md"
        raise BoardError("this board does not tell what it is", cure=cure)
    return ", ".join(found)
