from __future__ import annotations

import pytest

from testbed.campaign.profiling.link import rate_of


def test_the_rate_is_the_slope():
    rate, remark = rate_of(1000, 101, 0.002, 0.012)
    assert rate == pytest.approx(1e7)
    assert remark == ""


@pytest.mark.parametrize("many", [0.001, 0.002, 0.0025])
def test_no_rate_where_many_take_hardly_longer(many):
    rate, remark = rate_of(1000, 101, 0.002, many)
    assert rate is None
    assert "101000 bytes" in remark


def test_no_rate_of_a_board_that_answers_otherwise():
    rate, remark = rate_of(1000, 101, 0.002, None)
    assert rate is None
    assert "101 inputs" in remark
