"""NVIDIA Jetson over SSH: power mode and clocks are set for the run and put back, rails are read by the agent.

Sources: NVIDIA Jetson Linux Developer Guide (``nvpmodel``, ``/etc/nv_tegra_release``, INA3221 rails under
``/sys/bus/i2c/drivers/ina3221``); kernel ABI ``/sys/class/devfreq``. Accuracy of the rails: 8 mA steps (5 milliohm
shunts) or 20 mA (2 milliohm), one reading takes up to 13 ms. Setting a power mode needs rights on the board: allow the
user ``nvpmodel`` without a password, or run as root. Written from the documentation; not yet run on the hardware.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.boards.board import AgentBoard
from drivers.boards.composition import options_of, with_relay
from drivers.boards.ssh_board import SshOptions, command_probe, ssh_composition
from testbed.errors import BoardError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.links.deploy import CommandResult
    from testbed.model.lab import BoardSpec
    from testbed.ports import CheckableBoard

MOST = 999
"""Ids are short numbers; the agent takes three digits."""
_RELEASE = "/etc/nv_tegra_release"


class JetsonOptions(SshOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of ``kind = "jetson"``, beside those of every board over SSH.

    Attributes:
        power_mode: id as ``nvpmodel`` numbers them, held during the run; ``None`` leaves it.
        clocks: devfreq device to ``"MIN:MAX"`` in Hz, held during the run.
        meter_period_ms: the rails are streamed with this period; 0 does not.
    """

    power_mode: int | None = None
    clocks: dict[str, str] = {}
    meter_period_ms: int = 20


def jetson(spec: BoardSpec) -> CheckableBoard:
    """The board of a ``kind = "jetson"`` table.

    Raises:
        ConfigError: its options are wrong.
    """
    options = options_of(spec, JetsonOptions)
    settings = jetson_settings(spec, options.power_mode, options.clocks)
    identity = command_probe("jetson", options.ssh, ["head", "-n", "1", _RELEASE], _tell_release)
    composition = ssh_composition(spec, options, settings=settings, probes=(identity,))
    return AgentBoard(spec, with_relay(composition, spec))


def jetson_settings(spec: BoardSpec, power_mode: int | None, clocks: Mapping[str, str]) -> dict[str, str]:
    """The agent's settings for a power mode and clocks; the mode first, since it changes the clocks' limits.

    Raises:
        ConfigError: a power mode is no id, or a clock is not ``MIN:MAX``.
    """
    settings = {} if power_mode is None else {"power-mode": str(power_mode)}
    if power_mode is not None and not 0 <= power_mode <= MOST:
        raise ConfigError(
            f"{power_mode} is no id of a power mode",
            file=spec.file,
            key=f"boards.{spec.id}.power_mode",
            cure="Give one of those that nvpmodel -q --verbose lists on the board, e.g. 0",
        )
    for device, span in clocks.items():
        low, colon, high = span.partition(":")
        if not (colon and low.isdigit() and high.isdigit() and int(low) <= int(high)):
            raise ConfigError(
                f"{span!r} is no range of clocks",
                file=spec.file,
                key=f"boards.{spec.id}.clocks.{device}",
                cure='Write it as "MIN:MAX" in Hz, e.g. "306000000:918000000"',
            )
        settings[f"clock:{device}"] = span
    return settings


def _tell_release(done: CommandResult) -> str:
    if done.status != 0 or "(release)" not in done.out:
        cure = f'Use kind = "gpu" or "serial" if it is none; a Jetson has {_RELEASE}'
        raise BoardError("this does not look like a Jetson", cure=cure)
    return done.out.strip().lstrip("# ")
