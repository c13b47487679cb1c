"""How long a program takes on the overlay, measured beforehand: cycles by exit, in a file beside the program.

``<model>.cycles.toml``: ``schema``, ``program_sha256`` (of the image), ``origin`` (``simulated``: counted by the RTL in
a simulator; ``modelled``: the compiler's estimate), ``source``, ``setup_cycles``, and per exit ``[[exit]]`` with
``cycles``, ``stalls`` (of these, waiting for the bus) and ``n`` (images behind it). Written by
``drivers.virtual.pynq.prepare``.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.lab import parse_options

if TYPE_CHECKING:
    from pathlib import Path

PREPARE = "Make it again: python -m drivers.virtual.pynq.prepare"
SUFFIX = ".cycles.toml"


class ExitCycles(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From start to done where the program leaves at this exit; ``n`` images behind it, 0 for an estimate."""

    cycles: int
    stalls: int
    n: int = 0


class CycleTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one program; ``exit`` in the order of its exits."""

    schema: int
    program_sha256: str
    origin: Literal["simulated", "modelled"]
    source: str
    setup_cycles: int
    exit: tuple[ExitCycles, ...]

    def of(self, exit_: int) -> tuple[int, int]:
        """Cycles and stalls up to an exit; of the setup for -1."""
        if exit_ < 0:
            return self.setup_cycles, 0
        row = self.exit[exit_]
        return row.cycles, row.stalls


def read_cycles(program: Path, sha256: str, exits: int) -> CycleTable:
    """The table beside a program file.

    Args:
        sha256: of the program's image. exits: how many it has.

    Raises:
        ConfigError: it is missing, wrong, or belongs to another program.
    """
    file = program.with_suffix(SUFFIX)
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=file, cure=PREPARE) from error
    table = parse_options(raw, CycleTable, file=file, key="")
    if table.program_sha256 != sha256:
        raise ConfigError("belongs to another program", file=file, key="program_sha256", cure=PREPARE)
    if len(table.exit) != exits:
        raise ConfigError(
            f"has {len(table.exit)} exits, the program {exits}", file=file, key="exit", cure=PREPARE
        )
    return table


def write_cycles(table: CycleTable, program: Path) -> Path:
    """Write a table beside a program file; where."""
    lines = [
        "# Made by python -m drivers.virtual.pynq.prepare; change that, not this.",
        f"schema = {table.schema}",
        f'program_sha256 = "{table.program_sha256}"',
        f'origin = "{table.origin}"',
        f'source = "{table.source}"',
        f"setup_cycles = {table.setup_cycles}",
    ]
    for row in table.exit:
        lines += ["", "[[exit]]", f"cycles = {row.cycles}", f"stalls = {row.stalls}", f"n = {row.n}"]
    file = program.with_suffix(SUFFIX)
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file
