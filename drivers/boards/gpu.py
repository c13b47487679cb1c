"""A GPU host over SSH: an x86 or Arm server whose NVIDIA driver answers ``nvidia-smi``.

Source: ``nvidia-smi --help-query-gpu``. The cards' energy comes from NVML where ``nvidia-ml-py`` is installed for the
board's Python; that of the host around them needs a meter of its own. Power limit and clocks are set for the run by the
agent, which needs root there for it, and put back. Written from the documentation; not yet run on the hardware.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.boards.board import AgentBoard
from drivers.boards.composition import options_of, with_relay
from drivers.boards.ssh_board import SshOptions, command_probe, ssh_composition
from testbed.errors import BoardError, ConfigError

if TYPE_CHECKING:
    from drivers.links.deploy import CommandResult
    from testbed.model.lab import BoardSpec
    from testbed.ports import CheckableBoard

_FIELDS = ("name", "driver_version", "memory.total", "power.limit", "clocks.max.sm")
ASK = ["nvidia-smi", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader"]


class GpuOptions(SshOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of ``kind = "gpu"``, beside those of every board over SSH.

    Attributes:
        gpu: index as ``nvidia-smi`` counts. power_limit_w: held during the run; ``None`` leaves it.
        clocks_mhz: ``"MIN:MAX"`` to lock the graphics clocks to during the run; ``None`` leaves them.
        meter_period_ms: the cards' power is streamed with this period where NVML tells it; 0 does not.
    """

    gpu: int = 0
    power_limit_w: float | None = None
    clocks_mhz: str | None = None
    meter_period_ms: int = 50


def gpu(spec: BoardSpec) -> CheckableBoard:
    """The board of a ``kind = "gpu"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    options = options_of(spec, GpuOptions)
    identity = command_probe("gpu", options.ssh, ASK, _tell)
    settings = gpu_settings(spec, options)
    part = f"gpu{options.gpu}" if options.gpu else ""
    composition = ssh_composition(spec, options, settings=settings, probes=(identity,), part=part)
    return AgentBoard(spec, with_relay(composition, spec))


def gpu_settings(spec: BoardSpec, options: GpuOptions) -> dict[str, str]:
    """The agent's settings for a power limit and locked clocks.

    Raises:
        ConfigError: a limit that is not positive, or clocks that are not ``MIN:MAX``.
    """

    def refuse(key: str, why: str, cure: str) -> ConfigError:
        return ConfigError(why, file=spec.file, key=f"boards.{spec.id}.{key}", cure=cure)

    settings = {}
    if options.power_limit_w is not None:
        if options.power_limit_w <= 0:
            raise refuse(
                "power_limit_w", "must be positive", "Give watts, within what `nvidia-smi -q -d POWER` allows"
            )
        settings[f"power-limit:{options.gpu}"] = f"{options.power_limit_w:g}"
    if options.clocks_mhz is not None:
        low, colon, high = options.clocks_mhz.partition(":")
        if not (colon and low.isdigit() and high.isdigit() and int(low) <= int(high)):
            cure = 'Write it as "MIN:MAX" in MHz, e.g. "1200:1200"'
            raise refuse("clocks_mhz", f"{options.clocks_mhz!r} is no range of clocks", cure)
        settings[f"gpu-clocks:{options.gpu}"] = options.clocks_mhz
    return settings


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
