"""Writes a `HwProfile` as the TOML file that `load_profile` reads."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.store.durable import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.model.profile import HwProfile


def write_profile(profile: HwProfile, file: Path) -> None:
    """Write a profile, replacing the file in one step.

    Raises:
        StoreError: the folder cannot be written.
    """
    write_atomically(file, profile_text(profile).encode())


def profile_text(profile: HwProfile) -> str:
    """The file's text; fields that hold their default are left out."""
    return document(profile)


def document(value: msgspec.Struct, *, inline: tuple[str, ...] = ()) -> str:
    """A Struct as a TOML document: plain keys, then tables, then arrays of tables; defaults are left out.

    Args:
        inline: arrays of tables that get one line a row instead.
    """
    fields = _said(value)
    one_line = {name: fields.pop(name) for name in inline}
    lines = [
        f"{name} = {_value(v)}" for name, v in fields.items() if not isinstance(v, dict) and not _rows(v)
    ]
    for name, rows in one_line.items():
        lines += [f"{name} = [", *(f"  {_value(row)}," for row in rows), "]"]
    for name, table in fields.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *_pairs(table)]
    for name, rows in fields.items():
        for row in rows if _rows(rows) else ():
            lines += ["", f"[[{name}]]", *_pairs(row)]
    return "\n".join(lines) + "\n"


def _said(value: msgspec.Struct) -> dict[str, Any]:
    """The fields of a Struct that do not hold their default, Structs within them likewise."""
    return {
        field.name: _plain(getattr(value, field.name))
        for field in msgspec.structs.fields(value)
        if field.required or getattr(value, field.name) != _default(field)
    }


def _default(field: msgspec.structs.FieldInfo) -> object:
    made = field.default_factory
    return made() if callable(made) else field.default


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field of a profile
    if isinstance(value, msgspec.Struct):
        return _said(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, enum.Enum) else value


def _rows(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(row, dict) for row in value)


def _pairs(table: dict[str, Any]) -> list[str]:
    return [
        f"{_key(name)} = {_value(v)}" for name, v in table.items() if v is not None and v not in ("", {}, [])
    ]


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _value(name)


def _value(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(_pairs(value))
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, float):
        # TOML knows inf and nan under Python's names, but JSON does not.
        return repr(value)
    # A JSON string, integer or boolean is a TOML one, but for DEL, which TOML wants escaped.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
