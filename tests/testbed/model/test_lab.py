from __future__ import annotations

import enum
from typing import Literal

import pytest
from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.lab import parse_options


class Relay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    delay_ms: float
    rate_mbit: float | None = None


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Need(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Literal["edge", "dc"] | None = None
    colour: Colour = Colour.RED


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: str
    baud: int = 115200
    relay: Relay | None = None
    metered: Literal["board", "wall"] = "board"
    needs: tuple[Need, ...] = ()


def refused(table: dict[str, object]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_options(table, Options, file="lab.toml", key="boards.mcu")
    return caught.value


def test_a_table_becomes_a_value():
    made = parse_options({"port": "tty", "relay": {"delay_ms": 20}}, Options, file="lab.toml", key="")
    assert made == Options(port="tty", relay=Relay(delay_ms=20.0))


def test_a_missing_key_is_named_itself():
    error = refused({"baud": 9600})
    assert (error.key, error.message) == ("boards.mcu.port", "is missing")


def test_where_few_values_can_be_they_are_told():
    error = refused({"port": "tty", "metered": "plug"})
    assert (error.key, error.cure) == ("boards.mcu.metered", "Give one of board, wall")


def test_choices_are_told_further_down_too():
    error = refused({"port": "tty", "needs": [{"site": "dg"}]})
    assert (error.key, error.cure) == ("boards.mcu.needs[0].site", "Give one of edge, dc")
    error = refused({"port": "tty", "needs": [{}, {"colour": "green"}]})
    assert (error.key, error.cure) == ("boards.mcu.needs[1].colour", "Give one of red, blue")


def test_an_unknown_key_is_named_with_the_likely_one():
    error = refused({"port": "tty", "buad": 9600})
    assert (error.file, error.key) == ("lab.toml", "boards.mcu.buad")
    assert error.cure == "Did you mean 'baud'?"


def test_a_table_without_keys_says_so():
    class Nothing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """It has none."""

    with pytest.raises(ConfigError, match="options.model: unknown key. Drop it"):
        parse_options({"model": 1}, Nothing, file="campaign.toml", key="options")


def test_a_missing_key_is_named():
    assert "port" in str(refused({}))


def test_a_wrong_type_is_named_with_its_path():
    error = refused({"port": "tty", "baud": "fast"})
    assert error.key == "boards.mcu.baud"
    assert error.message == 'expected whole number, got string "fast"'


def test_a_number_where_a_table_belongs_is_told_what_stands_in_the_table():
    error = refused({"port": "tty", "relay": 20})
    assert (error.key, error.message) == ("boards.mcu.relay", "expected table, got whole number 20")
    assert error.cure == "Write relay = { ... } with delay_ms, rate_mbit"


def test_an_unknown_key_further_down_is_refused_too():
    error = refused({"port": "tty", "relay": {"delay_ms": 20, "jitter": 1}})
    assert error.key == "boards.mcu.relay.jitter"
    assert error.cure


def test_what_should_be_a_table_and_is_none_is_named():
    error = refused(5)
    assert (error.key, error.cure) == ("boards.mcu", "Write mcu = { ... }")
