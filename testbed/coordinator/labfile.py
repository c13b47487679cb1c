"""Lab files: a site's boards as TOML, checked before anything is touched.

::

    schema = 1
    name = "virtual"

    [boards.jetson]
    kind = "jetson"                  # entry point in testbed.boards
    site = "edge"                    # edge or dc
    models = ["cnn-small"]           # what it may be asked to run
    profiles = "jetson-orin-nano"    # folder in hwprofiles
    # everything else in the table belongs to the driver

    [meters.wall]
    kind = "scpi"                    # entry point in testbed.meters
    feeds = "jetson"                 # the board whose power it measures

    [switches.plug]
    kind = "command"                 # entry point in testbed.switches
    feeds = "jetson"                 # the board whose power it switches
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import parse_options
from testbed.model.placement import Core

LAB_SCHEMA = 1


class BoardTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a board's table that the coordinator reads.

    Attributes:
        models: names in the zoo (or the experiment's catalogue) that it may run.
        profiles: folder in hwprofiles with what is known of them; ``None`` has them measured at the start.
        resident: of ``models``, those held from the start; ``None`` for all. Policies load others as they need them.
        memory_bytes: room for models. cores: processing units inside. price_per_s: cost of its time.
    """

    kind: str
    site: Literal["edge", "dc"]
    models: tuple[str, ...]
    profiles: str | None = None
    resident: tuple[str, ...] | None = None
    memory_bytes: int | None = None
    cores: tuple[Core, ...] = ()
    price_per_s: float | None = None

    @property
    def at_start(self) -> tuple[str, ...]:
        """Models held from the start."""
        return self.models if self.resident is None else self.resident


class InstrumentTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a meter's or switch's table that the coordinator reads: its kind, and the board it feeds."""

    kind: str
    feeds: str


Instrument: TypeAlias = tuple[InstrumentTable, dict[str, Any]]


class LabFile(Struct, frozen=True, kw_only=True):
    """A lab file: its text (kept in the run's header), and per board the common part and the driver's options."""

    name: str
    file: Path
    text: str
    boards: dict[str, tuple[BoardTable, dict[str, Any]]]
    meters: dict[str, Instrument] = {}
    switches: dict[str, Instrument] = {}

    def only(self, board: str) -> LabFile:
        """The same lab with one board and what feeds it.

        Raises:
            ConfigError: it has no such board.
        """
        if board not in self.boards:
            cure = did_you_mean(board, self.boards)
            raise ConfigError(f"no board {board!r}", file=self.file, key="boards", cure=cure)
        return msgspec.structs.replace(
            self,
            boards={board: self.boards[board]},
            meters={name: meter for name, meter in self.meters.items() if meter[0].feeds == board},
            switches={name: switch for name, switch in self.switches.items() if switch[0].feeds == board},
        )


class _Top(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int
    name: str
    boards: dict[str, dict[str, Any]]
    meters: dict[str, dict[str, Any]] = {}
    switches: dict[str, dict[str, Any]] = {}


def read_toml(file: Path) -> tuple[str, dict[str, Any]]:
    """Text and tables of a TOML file.

    Raises:
        ConfigError: it is missing, unreadable, or not TOML.
    """
    try:
        text = file.read_text("utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError("no such file", file=file, cure="Check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=file) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", file=file, cure="Correct the syntax") from error


def read_lab(file: Path) -> LabFile:
    """Read and check a lab file.

    Raises:
        ConfigError: names file, key and cure.
    """
    text, raw = read_toml(file)
    return parse_lab(text, raw, file)


def parse_lab(text: str, raw: dict[str, Any], file: Path) -> LabFile:
    """Check a lab file that was read already, from disk or from a run's header.

    Raises:
        ConfigError: names file, key and cure.
    """
    top = parse_options(raw, _Top, file=file, key="")
    if top.schema != LAB_SCHEMA:
        raise ConfigError(
            f"schema {top.schema} is not known",
            file=file,
            key="schema",
            cure=f"This version reads schema {LAB_SCHEMA}",
        )
    if not top.boards:
        raise ConfigError("a lab needs at least one board", file=file, key="boards")
    names = set(BoardTable.__struct_fields__)
    boards = {}
    for board, table in top.boards.items():
        key = f"boards.{board}"
        common = parse_options({k: v for k, v in table.items() if k in names}, BoardTable, file=file, key=key)
        for model in common.at_start:
            if model not in common.models:
                raise ConfigError(
                    f"{model!r} is not among the board's models",
                    file=file,
                    key=f"{key}.resident",
                    cure=did_you_mean(model, common.models),
                )
        boards[board] = (common, {k: v for k, v in table.items() if k not in names})
    switches = _instruments("switches", top.switches, boards, file)
    _check_one_switch_each(switches, file)
    return LabFile(
        name=top.name,
        file=file,
        text=text,
        boards=boards,
        meters=_instruments("meters", top.meters, boards, file),
        switches=switches,
    )


def _instruments(
    group: str, tables: dict[str, dict[str, Any]], boards: dict[str, Any], file: Path
) -> dict[str, Instrument]:
    names = set(InstrumentTable.__struct_fields__)
    found = {}
    for name, table in tables.items():
        key = f"{group}.{name}"
        common = parse_options(
            {k: v for k, v in table.items() if k in names}, InstrumentTable, file=file, key=key
        )
        if common.feeds not in boards:
            cure = did_you_mean(common.feeds, boards)
            raise ConfigError(f"no board {common.feeds!r}", file=file, key=f"{key}.feeds", cure=cure)
        found[name] = (common, {k: v for k, v in table.items() if k not in names})
    return found


def _check_one_switch_each(switches: dict[str, Instrument], file: Path) -> None:
    owner: dict[str, str] = {}
    for name, (table, _) in switches.items():
        if table.feeds in owner:
            text = f"{table.feeds} is switched by {owner[table.feeds]!r} already"
            cure = "Give each board one switch; one command can switch several outputs"
            raise ConfigError(text, file=file, key=f"switches.{name}.feeds", cure=cure)
        owner[table.feeds] = name
