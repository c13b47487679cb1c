"""Lab files: a site's boards as TOML, checked before anything is touched.

::

    schema = 1
    name = "virtual"

    [boards.jetson]
    kind = "jetson"                  # entry point in testbed.boards
    site = "edge"                    # edge or dc
    models = ["cnn-small"]           # what it may be asked to run
    profiles = "jetson-orin-nano"    # folder in hwprofiles
    count = 500                      # in virtual time only: so many alike, jetson-000 to jetson-499
    # everything else in the table belongs to the driver

    [meters.wall]
    kind = "scpi"                    # entry point in testbed.meters
    feeds = "jetson"                 # the board whose power it measures

    [switches.plug]
    kind = "command"                 # entry point in testbed.switches
    feeds = "jetson"                 # the board whose power it switches

Before the boards a lab file may say who may use them, and how one that stops answering is cared for::

    state = "/srv/testbed"           # leases of all users of this lab; default: the user's own state folder
    lease_s = 15                     # how long a lease outlives the last heartbeat of its holder

    [recovery]
    grace_s = 10
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
from testbed.model.ranges import Count, NotNegative

LAB_SCHEMA = 1
MIN_LEASE_S, MAX_LEASE_S = 1.0, 600.0


class BoardTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a board's table that the coordinator reads.

    Attributes:
        models: names in the zoo (or the experiment's catalogue) that it may run.
        profiles: folder in hwprofiles with what is known of them; ``None`` has them measured at the start.
        resident: of ``models``, those held from the start; ``None`` for all. Policies load others as they need them.
        count: how many boards the table stands for; more than one, for virtual time only, are numbered.
        memory_bytes: room for models. cores: processing units inside. price_per_s: cost of its time.
        lease: name to lease it by instead of its address: where it has several, or is this host or a virtual board and
            runs shall take turns on it all the same.
    """

    kind: str
    site: Literal["edge", "dc"]
    models: tuple[str, ...]
    profiles: str | None = None
    resident: tuple[str, ...] | None = None
    count: int = 1
    memory_bytes: int | None = None
    cores: tuple[Core, ...] = ()
    price_per_s: float | None = None
    lease: str | None = None

    @property
    def at_start(self) -> tuple[str, ...]:
        """Models held from the start."""
        return self.models if self.resident is None else self.resident


class RecoveryTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lab file's ``recovery`` table: what is tried, how often and for how long, when a board stops answering.

    Attributes:
        grace_s: it may come back by itself for so long before it is quarantined.
        attempts: how often its power is cycled, if it has a switch.
        return_s: how long it may take to come back after each attempt.
    """

    grace_s: NotNegative = 10.0
    attempts: Count = 3
    return_s: NotNegative = 60.0


class InstrumentTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a meter's or switch's table that the coordinator reads: its kind, and the board it feeds."""

    kind: str
    feeds: str


Instrument: TypeAlias = tuple[InstrumentTable, dict[str, Any]]


class LabFile(Struct, frozen=True, kw_only=True):
    """A lab file, checked.

    Attributes:
        text: as it was read; kept in the run's header.
        boards: per board the common part and the driver's options; those of one ``count`` share both.
        tables: the name of the table that each board comes from, which is the board's own where it is alone.
        state: folder of the leases, ``None`` for the user's own. lease_s: how long one lasts without a heartbeat.
    """

    name: str
    file: Path
    text: str
    boards: dict[str, tuple[BoardTable, dict[str, Any]]]
    tables: dict[str, str]
    meters: dict[str, Instrument] = {}
    switches: dict[str, Instrument] = {}
    state: Path | None = None
    lease_s: float = 15.0
    recovery: RecoveryTable = RecoveryTable()

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
    state: str | None = None
    lease_s: float = 15.0
    recovery: RecoveryTable = RecoveryTable()


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
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", file=file, cure="Name a TOML file that you may read"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is no UTF-8 text: {error}", file=file, cure="Name a TOML file") from error
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
    if not MIN_LEASE_S <= top.lease_s <= MAX_LEASE_S:
        raise ConfigError(
            f"must be between {MIN_LEASE_S:g} and {MAX_LEASE_S:g} seconds", file=file, key="lease_s"
        )
    if not top.boards:
        raise ConfigError("a lab needs at least one board", file=file, key="boards")
    names = set(BoardTable.__struct_fields__)
    boards: dict[str, tuple[BoardTable, dict[str, Any]]] = {}
    tables: dict[str, str] = {}
    for board, table in top.boards.items():
        key = f"boards.{board}"
        if not board.strip() or "/" in board:
            cure = "Rename the table, without slashes"
            raise ConfigError(f"{board!r} cannot name a board", file=file, key=key, cure=cure)
        common = parse_options({k: v for k, v in table.items() if k in names}, BoardTable, file=file, key=key)
        for model in common.at_start:
            if model not in common.models:
                raise ConfigError(
                    f"{model!r} is not among the board's models",
                    file=file,
                    key=f"{key}.resident",
                    cure=did_you_mean(model, common.models),
                )
        if common.lease is not None and not common.lease.strip():
            raise ConfigError(
                "is empty",
                file=file,
                key=f"{key}.lease",
                cure="Name what runs take turns on, or leave it out",
            )
        if common.count < 1:
            raise ConfigError(
                "must be at least 1", file=file, key=f"{key}.count", cure="Leave it out for one"
            )
        options = {k: v for k, v in table.items() if k not in names}
        for name in _names(board, common.count):
            if name in boards:
                cure = "Rename one of the tables"
                raise ConfigError(f"gives a second board {name!r}", file=file, key=f"{key}.count", cure=cure)
            boards[name] = (common, options)
            tables[name] = board
    switches = _instruments("switches", top.switches, boards, file)
    _check_one_switch_each(switches, file)
    return LabFile(
        name=top.name,
        file=file,
        text=text,
        boards=boards,
        tables=tables,
        meters=_instruments("meters", top.meters, boards, file),
        switches=switches,
        state=None if top.state is None else file.parent / Path(top.state).expanduser(),
        lease_s=top.lease_s,
        recovery=top.recovery,
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


def _names(table: str, count: int) -> list[str]:
    """One board is called as its table; of several each has a number, as wide as the last one's."""
    if count == 1:
        return [table]
    width = len(str(count - 1))
    return [f"{table}-{number:0{width}}" for number in range(count)]
