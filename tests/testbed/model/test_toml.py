from __future__ import annotations

import datetime
import math
from typing import Any, Literal

import pytest
from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.lab import parse_options
from testbed.model.ranges import Count, Positive


class Inner(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    number: int = 0


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str = ""
    whole: int = 0
    number: float = 0.0
    flag: bool = False
    words: tuple[str, ...] = ()
    pair: tuple[int, int] = (1, 2)
    relay: dict[str, Any] | None = None
    either: str | float | None = None
    inner: tuple[Inner, ...] = ()
    named: dict[str, Inner] = {}
    literal: Literal["board", "wall"] = "board"
    count: Count = 0
    above: Positive = 1.0


@pytest.mark.parametrize(
    ("key", "value", "message", "cure"),
    [
        ("relay", 15, "expected table, got whole number 15", "Write relay = { ... }"),
        ("text", 3.8, "expected string, got number 3.8", 'Write text = "3.8"'),
        ("text", True, "expected string, got true", 'Write text = "..."'),
        ("text", datetime.date(2026, 1, 2), "expected string, got date", 'Write text = "..."'),
        ("whole", "fast", 'expected whole number, got string "fast"', "Write whole = <whole number>"),
        ("whole", 1.5, "expected whole number, got number 1.5", "Write whole = <whole number>"),
        ("whole", "x" * 99, "expected whole number, got string", "Write whole = <whole number>"),
        ("number", False, "expected number, got false", "Write number = <number>"),
        ("flag", 1, "expected true or false, got whole number 1", "Write flag = true or false"),
        ("words", "a", 'expected array, got string "a"', "Write words = [ ... ]"),
        ("words", {}, "expected array, got table", "Write words = [ ... ]"),
        ("either", True, "expected number or string, got true", 'Write either = <number> or "..."'),
        ("pair", [1], "must have 2 values, not 1", "Give 2"),
        ("literal", "plug", "Invalid enum value 'plug'", "Give one of board, wall"),
        ("count", -1, "must be a whole number >= 0, not -1", "Give another number"),
        ("above", math.nan, "must be a finite number > 0, not nan", "Give another number"),
    ],
)
def test_a_wrong_value_is_told_with_what_to_write_instead(key, value, message, cure):
    with pytest.raises(ConfigError) as caught:
        parse_options({key: value}, Table, file="lab.toml", key="boards.mcu")
    assert (caught.value.key, caught.value.message, caught.value.cure) == (f"boards.mcu.{key}", message, cure)


@pytest.mark.parametrize(
    ("table", "key", "message", "cure"),
    [
        ({"words": ["a", 1]}, "words[1]", "expected string, got whole number 1", 'Write "1"'),
        ({"inner": [{}, 7]}, "inner[1]", "expected table, got whole number 7", "Write { ... } with number"),
        ({"inner": [{"number": "x"}]}, "inner[0].number", 'expected whole number, got string "x"', None),
        ({"named": {"a": {"number": "x"}}}, "named[...].number", "expected whole number, got string", None),
    ],
)
def test_a_wrong_value_further_down_is_told_too(table, key, message, cure):
    with pytest.raises(ConfigError) as caught:
        parse_options(table, Table, file="lab.toml", key="")
    assert (caught.value.key, caught.value.message) == (key, message)
    assert caught.value.cure == (cure or "Write number = <whole number>")
