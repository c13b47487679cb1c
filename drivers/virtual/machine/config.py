"""What a far-side process is told when it starts: one JSON file, written by the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from testbed.model.profile import HwProfile

HOME = "home/testbed"
"""The virtual board's home directory, below its root."""
TOOLS = "usr/sbin"
"""Programs of the board's own, found before those of this host."""


class Rail(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metered rail: its share of the board's idle power, and of what work adds to it.

    Attributes:
        volts: nominal bus voltage [V].
    """

    label: str
    idle_frac: float
    work_frac: float
    volts: float = 5.0


class MachineConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A virtual machine: what it is paced, powered and timed by.

    Attributes:
        root: folder that plays the board's file system.
        seed: of every draw on the board.
        answers: ``infer`` really runs the model, ``replay`` looks stored predictions up.
        audit_frac: share of replayed executions that are really run and compared.
        clock_offset_ns, clock_drift_ppb: of the board's clock against the host's monotonic clock.
        spin_ns: how long before a deadline pacing stops sleeping and spins [ns].
        realtime: the board's processes ask to run before ordinary ones.
        profiles: by model; a model without one cannot be loaded.
        predictions: by model, ``.npz`` of stored probabilities. predictions_sha256: their hashes.
        programs: by model, the compiled program of a board with an overlay in its logic; none for other boards.
        audit_rtl: of such a board, ``audit_frac`` of the executions are repeated on the overlay's RTL.
        faults: of such a board, as ``hung@3``: what happens to its logic, and at which start.
        rails: metered rails; none for a board without sensors.
        facts: laid over what the agent reports in its greeting.
        baud: of the serial line; agent: the program flashed onto a board behind one; port: the stable name
            its terminal is published under.
        boot_ms: how long a reboot takes.
        listen: address that an SSH host listens on.
    """

    name: str
    root: Path
    seed: int
    profiles: dict[str, HwProfile]
    answers: Literal["infer", "replay"] = "infer"
    audit_frac: float = 0.01
    predictions: dict[str, Path] = {}
    predictions_sha256: dict[str, str] = {}
    programs: dict[str, Path] = {}
    audit_rtl: bool = False
    faults: tuple[str, ...] = ()
    clock_offset_ns: int = 0
    clock_drift_ppb: int = 0
    spin_ns: int = 600_000
    realtime: bool = True
    rails: tuple[Rail, ...] = ()
    facts: dict[str, str | int | float | bool] = {}
    baud: int = 115_200
    agent: Path | None = None
    port: Path | None = None
    boot_ms: int = 500
    listen: str = "127.0.0.1"

    @property
    def home(self) -> Path:
        """The board's home directory."""
        return self.root / HOME

    @property
    def idle_w(self) -> float:
        """Power at rest [W]: the largest that a profile tells, 0 where none does."""
        return max((p.idle_w.value for p in self.profiles.values() if p.idle_w is not None), default=0.0)


def write_config(config: MachineConfig, file: Path) -> None:
    """Leave it for the far side to read."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(config, enc_hook=str)))


def read_config(file: Path) -> MachineConfig:
    """What `write_config` left.

    Raises:
        msgspec.ValidationError: it is something else.
    """
    return msgspec.json.decode(file.read_bytes(), type=MachineConfig, dec_hook=lambda kind, text: kind(text))
