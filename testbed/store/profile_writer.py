"""Writes a `HwProfile` as the TOML file that `load_profile` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.model.profile import HwProfile


def write_profile(profile: HwProfile, file: Path) -> None:
    """Write a profile, replacing the file in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".toml.new")
    fresh.write_text(profile_text(profile), "utf-8")
    fresh.replace(file)


def profile_text(profile: HwProfile) -> str:
    """The file's text; fields that hold their default are left out."""
    return document(msgspec.to_builtins(profile, str_keys=True), profile)


def document(fields: dict[str, Any], value: msgspec.Struct) -> str:
    """A Struct as a TOML document: plain keys, then tables, then arrays of tables.

    Args:
        fields: ``value`` as builtins, in the order of its class.
    """
    kept = {name: fields[name] for name in fields if not _default(value, name)}
    plain = {n: v for n, v in kept.items() if not isinstance(v, dict) and not _rows(v)}
    lines = [f"{name} = {_value(v)}" for name, v in plain.items()]
    for name, table in kept.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *_pairs(table)]
    for name, rows in kept.items():
        for row in rows if _rows(rows) else ():
            lines += ["", f"[[{name}]]", *_pairs(row)]
    return "\n".join(lines) + "\n"


def _default(value: msgspec.Struct, name: str) -> bool:
    field = next(f for f in msgspec.structs.fields(value) if f.name == name)
    return field.default is not msgspec.NODEFAULT and getattr(value, name) == field.default


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
