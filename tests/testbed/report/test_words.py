"""How figures are written."""

from __future__ import annotations

import pytest

from testbed.measure.stats import Estimate, missing, wilson
from testbed.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0, "0"), (-3e-15, "0"), (1234.5, "1234"), (123.4, "123"), (12.34, "12.3"), (1.0, "1.00"),
        (0.0123, "0.0123"), (0.00001, "1.00e-05"), (-7.26, "-7.26"), (99.96, "100"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert words.number(value) == text


def test_a_withheld_figure_says_so_and_an_absent_one_is_a_dash():
    assert words.estimated(missing("why")) == "withheld"
    assert words.estimated(Estimate(value=None)) == "-"
    assert words.share(missing("why")) == "-"


def test_intervals_stand_beside_their_value():
    assert words.estimated(Estimate(value=1.0, low=0.5, high=2.0), "ms") == "1.00 [0.500, 2.00] ms"
    assert words.estimated(Estimate(value=1.0, low=-0.5, high=2.0), signed=True) == "+1.00 [-0.500, +2.00]"
    assert words.share(wilson(90, 100)) == "90.0 [82.6, 94.5] %"


def test_counts_and_probabilities():
    assert words.counts({"b": 1, "a": 2}) == "a 2, b 1"
    assert words.counts({}) == "-"
    assert words.probability(None) == "-"
    assert words.probability(1e-9) == "< 0.001"
    assert words.probability(0.25) == "0.250"
    assert words.percent(0.1234) == "12.3 %"


def test_many_boards_are_told_by_their_kind():
    few = [f"mcu-{i}" for i in range(words.MANY)]
    assert words.several(few) == few
    assert words.several([*few, "mcu-12", "gpu-box"]) == ["mcu-* (13)", "gpu-box"]
    assert words.counts({f"mcu-{i:02}": 2 for i in range(20)} | {"gpu": 50}) == "gpu 50, mcu-* 40"
