"""What lies outside a range is named with the range, in a study's tables as in a campaign's."""

from __future__ import annotations

import math

import pytest
from msgspec import Struct

from testbed.errors import ConfigError
from testbed.model.lab import parse_options
from testbed.model.ranges import Count, NotNegative, Positive
from testbed.workload.mix import Workload


class Numbers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: Count = 0
    above: Positive = 1.0
    some: NotNegative | None = None


def test_what_lies_within_is_taken() -> None:
    made = parse_options({"count": 0, "above": 1e-300, "some": 0}, Numbers, file="a.toml", key="")
    assert made == Numbers(count=0, above=1e-300, some=0.0)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("count", -1, "must be a whole number >= 0, not -1"),
        ("above", 0, "must be a finite number > 0, not 0"),
        ("above", math.nan, "must be a finite number > 0, not nan"),
        ("above", math.inf, "must be a finite number, not inf"),
        ("some", -0.5, "must be a finite number >= 0, not -0.5"),
    ],
)
def test_what_does_not_is_named(key: str, value: float, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_options({key: value}, Numbers, file="a.toml", key="table")
    assert (caught.value.key, caught.value.message) == (f"table.{key}", says)


def test_a_workload_is_checked_whatever_file_it_stands_in() -> None:
    given = {"requests": 1, "arrivals": {"rate_hz": 1}, "needs": [{"weight": -1.0}]}
    with pytest.raises(ConfigError) as caught:
        parse_options(given, Workload, file="a.toml", key="workload")
    assert caught.value.key == "workload.needs[0].weight"
