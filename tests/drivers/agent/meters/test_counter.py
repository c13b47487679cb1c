from __future__ import annotations

import pytest

from drivers.agent.meters.counter import Counters
from testbed.errors import SampleError

S = 10**9


def test_mean_power_between_two_readings():
    counters = Counters([1e-6, 1e-3], [None, None])
    assert counters.fresh
    counters.begin(0, [0, 100])
    assert counters.advance(2 * S, [6_000_000, 4100]) == [pytest.approx(3.0), pytest.approx(2.0)]
    assert counters.advance(3 * S, [6_000_000, 4100]) == [0.0, 0.0]


def test_a_counter_that_begins_again_at_its_range():
    counters = Counters([1e-6], [262_143_328_850.0])
    counters.begin(0, [262_143_328_850 - 1_000_000])
    assert counters.advance(S, [4_000_000]) == [pytest.approx(5.0)]


@pytest.mark.parametrize(
    ("wrap", "at", "count"),
    [
        (None, S, 50),  # went back, and never wraps
        (1e15, S, 50),  # went back, but nothing draws what a wrap would mean
        (None, 0, 200),  # no time between
        (None, 61 * S, 200),  # so long ago that it may have wrapped unseen
    ],
)
def test_what_cannot_be_is_no_sample_and_counts_from_there(wrap, at, count):
    counters = Counters([1.0], [wrap])
    counters.begin(0, [100])
    with pytest.raises(SampleError) as caught:
        counters.advance(at, [count])
    assert caught.value.kind == SampleError.GARBAGE
    assert counters.advance(at + S, [count + 7]) == [7.0]


def test_forgotten_is_fresh():
    counters = Counters([1.0], [None])
    counters.begin(0, [1])
    counters.forget()
    assert counters.fresh
