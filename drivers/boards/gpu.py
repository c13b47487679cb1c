"""A GPU host over SSH: an x86 or Arm server whose NVIDIA driver answers ``nvidia-smi``.

Source: ``nvidia-smi --help-query-gpu``. Power there is an average over up to a second on most boards since Ampere, so
the driver reads identity and limits only; energy needs a meter of its own. Written from the documentation; not yet
run on the hardware.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.boards.board import AgentBoard
from drivers.boards.composition import options_of, with_relay
from drivers.boards.ssh_board import SshOptions, command_probe, ssh_composition
from testbed.errors import BoardError

if TYPE_CHECKING:
    from drivers.links.deploy import CommandResult
    from testbed.model.lab import BoardSpec
    from testbed.ports import CheckableBoard

_FIELDS = ("name", "driver_version", "memory.total", "power.limit", "clocks.max.sm")
ASK = ["nvidia-smi", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader"]


class GpuOptions(SshOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of ``kind = "gpu"``: those of every board over SSH."""


def gpu(spec: BoardSpec) -> CheckableBoard:
    """The board of a ``kind = "gpu"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    options = options_of(spec, GpuOptions)
    identity = command_probe("gpu", options.ssh, ASK, _tell)
    return AgentBoard(spec, with_relay(ssh_composition(spec, options, probes=(identity,)), spec))


def parse_gpus(text: str) -> list[dict[str, str]]:
    """One mapping per GPU from the answer to `ASK`; a field the driver cannot tell is left out."""
    gpus = []
    for line in text.strip().splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) != len(_FIELDS):
            continue
        pairs = zip(_FIELDS, values, strict=True)
        gpus.append({name: value for name, value in pairs if value not in ("[N/A]", "[Not Supported]")})
    return gpus


def _tell(done: CommandResult) -> str:
    found = parse_gpus(done.out) if done.status == 0 else []
    if not found:
        said = (done.err or done.out).strip()[:200]
        cure = 'Install NVIDIA\'s driver there, or use kind = "jetson" for a Jetson'
        raise BoardError(f"nvidia-smi names no GPU: {said}", cure=cure)
    return "; ".join(", ".join(f"{name} {value}" for name, value in one.items()) for one in found)
