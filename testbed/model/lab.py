"""A lab as data: what a driver is built from, and what a board says it is."""

from __future__ import annotations

import enum
import re
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from testbed.errors import ConfigError, UnknownKeyError, did_you_mean
from testbed.model.ids import BoardId, ModelId, TaskId
from testbed.model.meter import MeterTraits
from testbed.model.profile import HwProfile
from testbed.model.toml import in_toml
from testbed.units import Ns

T = TypeVar("T")


class ModelFiles(Struct, frozen=True, kw_only=True):
    """A model as it travels: part files in chain order, each with its SHA-256.

    Attributes:
        runtime: name of the agent's runtime, e.g. ``onnxruntime``.
        options: handed to the runtime (threads, provider).
        exits: number of exits.
        predictions: ``.npz`` with stored softmax per exit (for ``replay`` on virtual boards), or ``None``.
    """

    name: ModelId
    task: TaskId
    paths: tuple[Path, ...]
    sha256: tuple[str, ...]
    runtime: str = "onnxruntime"
    options: dict[str, Any] = {}
    exits: int = 1
    predictions: Path | None = None
    predictions_sha256: str = ""


class BoardSpec(Struct, frozen=True, kw_only=True):
    """One board of a lab file, as its driver gets it.

    Attributes:
        kind: entry point in ``testbed.boards``.
        site: ``edge`` or ``dc``.
        options: the rest of the board's table, for the driver to check with `parse_options`.
        file: the lab file, for error messages.
        models: what may be asked of it. profiles: what is known of these models on it.
        seed: for everything random about an emulated part.
        state: folder for sockets, keys and logs of this run.
        resident: of ``models``, those to hold from the start. memory_bytes: room for models, or ``None`` for enough.
        fence: fencing token; grows with every lease of the board, an agent refuses an older one.
        holder: who we are, as the board tells others. issuer: who gave the token (see `testbed.wire.claim`).
        ttl: how long the board keeps us when it hears nothing; 0 for ever.
    """

    id: BoardId
    kind: str
    site: str
    options: dict[str, Any]
    file: Path
    models: dict[ModelId, ModelFiles]
    profiles: dict[ModelId, HwProfile]
    state: Path
    resident: tuple[ModelId, ...] | None = None
    memory_bytes: int | None = None
    seed: int = 0
    fence: int = 0
    holder: str = ""
    issuer: str = ""
    ttl: Ns = 0

    @property
    def at_start(self) -> tuple[ModelId, ...]:
        """Models held from the start."""
        return tuple(self.models) if self.resident is None else self.resident


class MeterSpec(Struct, frozen=True, kw_only=True):
    """One instrument of a lab file, as its driver gets it.

    Attributes:
        kind: entry point in ``testbed.meters``.
        feeds: the board whose power it measures.
        options: the rest of the table. file: the lab file, for error messages.
        state: folder of this run, where virtual boards keep theirs.
    """

    name: str
    kind: str
    feeds: BoardId
    options: dict[str, Any]
    file: Path
    state: Path = Path()


class SwitchSpec(Struct, frozen=True, kw_only=True):
    """One power switch of a lab file, as its driver gets it: entry point in ``testbed.switches``, board, options."""

    name: str
    kind: str
    feeds: BoardId
    options: dict[str, Any]
    file: Path


class BoardFacts(Struct, frozen=True, kw_only=True):
    """What a board said it is when it was opened.

    Attributes:
        facts: machine, python, providers, versions, power mode: strings and numbers as the agent reports them.
        origin: origin of this board's service times, as a string of `Origin`.
        link_origin: origin of the time its bytes spend on the way.
        memory_bytes: room for models, or ``None``.
        meters: what is known of the errors of each meter, by the name its `PowerSamples` carry; those beside the board
            too. A meter that is missing here is taken by the samples alone, and its gain as exact.
    """

    id: BoardId
    kind: str
    site: str
    boot_id: str
    agent_sha256: str
    facts: dict[str, Any]
    origin: str
    link_origin: str
    memory_bytes: int | None = None
    meters: dict[str, MeterTraits] = {}


class CheckResult(Struct, frozen=True, kw_only=True):
    """One step of examining a board.

    Attributes:
        step: what was looked at, e.g. ``host key``.
        state: ``ok``, ``failed`` or ``skipped``.
        finding: what was seen, one sentence.
        cure: what to do about it, or an empty string.
    """

    step: str
    state: Literal["ok", "failed", "skipped"]
    finding: str
    cure: str = ""


def table_of(value: object, *, file: Path | str, key: str) -> dict[str, Any]:
    """A value of a TOML file that has to be a table.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(value, dict):
        raise ConfigError(
            "is no table", file=file, key=key, cure=f"Write {key.rpartition('.')[2]} = {{ ... }}"
        )
    return value


def parse_options(mapping: dict[str, Any], kind: type[T], *, file: Path | str, key: str) -> T:
    """Turn a table of a TOML file into a frozen value, refusing what it does not know.

    Args:
        mapping: the table.
        kind: a `msgspec.Struct` class; unknown keys are refused at every level that forbids them.
        file, key: where the table stands, for the error.

    Raises:
        UnknownKeyError: unknown key, with a did-you-mean.
        ConfigError: missing key, or wrong type.
    """
    table_of(mapping, file=file, key=key)
    names = msgspec.structs.fields(kind)  # type: ignore[arg-type]
    known = {field.encode_name for field in names}
    for name in mapping:
        if name not in known:
            cure = did_you_mean(name, known) or "Drop it: this table has no keys"
            raise UnknownKeyError("unknown key", file=file, key=f"{key}.{name}" if key else name, cure=cure)
    try:
        return msgspec.convert(mapping, kind, strict=True)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        inner = path.rstrip("`").lstrip(".")
        dotted = ".".join(part for part in (key, inner) if part)
        unknown = _UNKNOWN_FIELD.fullmatch(text)
        if unknown is not None:
            cure = did_you_mean(unknown["name"], _fields_at(kind, inner))
            raise UnknownKeyError(
                "unknown key", file=file, key=f"{dotted}.{unknown['name']}", cure=cure
            ) from error
        missing = _MISSING_FIELD.fullmatch(text)
        if missing is not None:
            where = ".".join(part for part in (dotted, missing["name"]) if part)
            raise ConfigError("is missing", file=file, key=where, cure="Add it to the table") from error
        message, cure = in_toml(text, dotted.rpartition(".")[2], _value_at(mapping, inner))
        choices = _choices_at(kind, inner)
        fields = sorted(_fields_at(kind, inner)) if text.startswith("Expected `object") else ()
        if choices:
            cure = f"Give one of {', '.join(map(str, choices))}"
        elif fields:
            cure += f" with {', '.join(fields)}"
        raise ConfigError(message, file=file, key=dotted, cure=cure) from error


_UNKNOWN_FIELD = re.compile("Object contains unknown field `(?P<name>.*)`")
_MISSING_FIELD = re.compile("Object missing required field `(?P<name>.*)`")


def _value_at(mapping: dict[str, Any], path: str) -> object:
    """The value at a path such as ``needs[0].site``; ``None`` below a ``[...]``, which does not say where."""
    found: Any = mapping
    for step in re.findall(r"[^.\[\]]+|\.\.\.", path):
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdigit():
            found = found[int(step)]
        else:
            return None
    return found


def _choices_at(kind: Any, path: str) -> tuple[object, ...]:  # noqa: ANN401 - a type expression
    """Values that the key at a path below ``kind`` may have, where they are few and named."""
    return tuple(
        choice
        for one in _types_at(kind, path)
        for choice in (
            typing.get_args(one)
            if typing.get_origin(one) is typing.Literal
            else [member.value for member in typing.cast("type[enum.Enum]", one)]
            if isinstance(one, enum.EnumType)
            else ()
        )
    )


def _fields_at(kind: Any, path: str) -> set[str]:  # noqa: ANN401 - a type expression
    """Keys that a table may have at a path such as ``needs[0]`` below ``kind``; of all members of a union."""
    found = _types_at(kind, path)
    return {name for one in found if hasattr(one, "__struct_fields__") for name in one.__struct_fields__}


def _types_at(kind: Any, path: str) -> list[Any]:  # noqa: ANN401 - a type expression
    """Types that may stand at a path below ``kind``, and those that they are put together from."""
    found = [kind]
    for step in re.findall(r"[^.\[\]]+", path.replace("...", "0")):
        if step.isdigit():
            inner = [arg for one in found for arg in typing.get_args(one)]
        else:
            inner = [
                typing.get_type_hints(one).get(step) for one in found if hasattr(one, "__struct_fields__")
            ]
        found = [arg for one in inner for arg in (one, *typing.get_args(one)) if arg is not None]
    return found
