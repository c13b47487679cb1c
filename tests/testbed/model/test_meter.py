"""A meter's traits travel in the journal, and tell the step of a reading."""

from __future__ import annotations

import math

import msgspec
import pytest

from testbed.model.lab import BoardFacts
from testbed.model.meter import MeterTraits, RailTraits
from testbed.store.schema import BoardSeen, Entry
from tests.testbed.store.synthetic import facts

INA3221 = MeterTraits(
    quantity="instant",
    metered="rail",
    period_ns=6_600_000,
    window_ns=1_100_000,
    gain_frac=0.01 / math.sqrt(3),
    rails={"VDD_IN": RailTraits(step_v=0.008, step_a=0.008, bus_v=5.0), "": RailTraits(step_w=0.001)},
    sources={"gain_frac": "a data sheet"},
)


def test_a_board_says_its_meters_in_the_journal_and_an_old_line_has_none():
    seen = BoardSeen(facts=msgspec.structs.replace(facts("jetson"), meters={"ina3221": INA3221}))
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Entry) == seen
    old = msgspec.to_builtins(facts("jetson"))
    del old["meters"]
    assert msgspec.convert(old, BoardFacts).meters == {}


def test_a_product_has_the_step_of_its_current_and_the_gain_of_its_voltage():
    rail = INA3221.rail("VDD_IN")
    assert rail.level_w == pytest.approx(0.04)
    assert rail.volts_frac == pytest.approx(0.0016 / math.sqrt(12))
    assert RailTraits(step_a=0.008).level_w is None
    assert RailTraits().volts_frac == 0.0


def test_a_named_rail_goes_before_the_rule_for_all():
    assert INA3221.rail("VDD_SOC").level_w == 0.001
    assert msgspec.structs.replace(INA3221, rails={}).rail("VDD_SOC").level_w is None
