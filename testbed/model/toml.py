"""What is wrong with a value of a TOML file, and what to write instead, from what msgspec says of it."""

from __future__ import annotations

import re

from testbed.model.ranges import FINITE

_RANGE = re.compile("Expected `(?P<kind>int|float)` (?P<sign>[<>]=?) (?P<bound>.*)")
_LENGTH = re.compile("Expected `array` of length (?P<wanted>.*), got (?P<given>.*)")
_TYPE = re.compile("Expected `(?P<wanted>.*)`, got `(?P<given>.*)`")
_TYPES = {
    "object": ("table", "{ ... }"),
    "array": ("array", "[ ... ]"),
    "str": ("string", '"..."'),
    "int": ("whole number", "<whole number>"),
    "float": ("number", "<number>"),
    "bool": ("true or false", "true or false"),
}
"""By msgspec's name of a type: what it is called here, and how it is written. TOML has no null."""
_LONGEST = 40


def in_toml(text: str, name: str, given: object) -> tuple[str, str]:
    """What was expected and what stands there; and the cure.

    Args:
        text: msgspec's message, without the path. name: the key, or ``needs[0]`` for a value in a list.
        given: the value that stands there; ``None`` where that is not known.
    """
    shown = _shown(given)
    range_ = _RANGE.fullmatch(text)
    if range_ is not None:
        bound = float(range_["bound"])
        limit = "" if bound == FINITE else f" {range_['sign']} {bound:.12g}"
        what = "a whole number" if range_["kind"] == "int" else "a finite number"
        return f"must be {what}{limit}" + (f", not {shown}" if shown else ""), "Give another number"
    length = _LENGTH.fullmatch(text)
    if length is not None:
        return f"must have {length['wanted']} values, not {length['given']}", f"Give {length['wanted']}"
    match = _TYPE.fullmatch(text)
    if match is None:
        return text, "Correct the value"
    kinds = [kind for kind in match["wanted"].split(" | ") if kind != "null"]
    wanted = " or ".join(_TYPES.get(kind, (kind, ""))[0] for kind in kinds)
    got, _ = _TYPES.get(match["given"], (match["given"], ""))
    message = f"expected {wanted}, got {shown if isinstance(given, bool) else f'{got} {shown}'.strip()}"
    forms = " or ".join(_written(kind, given) for kind in kinds)
    return message, f"Write {forms}" if name.endswith("]") else f"Write {name} = {forms}"


def _written(kind: str, given: object) -> str:
    """How a value of a type is written; a number that should be a string only lacks its quotes."""
    if kind == "str" and isinstance(given, int | float) and not isinstance(given, bool):
        return f'"{given}"'
    return _TYPES.get(kind, ("", f"<{kind}>"))[1]


def _shown(given: object) -> str:
    """A value as it stands in the file, if it is short enough to show."""
    match given:
        case bool():
            return "true" if given else "false"
        case str() if len(given) <= _LONGEST:
            return f'"{given}"'
        case int() | float():
            return str(given)
        case _:
            return ""
