from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.units import MS, US, S, from_ms, from_s, to_ms, to_s


def test_conversions_round_to_the_nearest_nanosecond():
    assert from_s(1.5) == 1_500_000_000
    assert from_ms(0.0000006) == 1
    assert (S, MS, US) == (10**9, 10**6, 10**3)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_there_and_back_is_the_same_instant(ns):
    # Eleven days in nanoseconds still fit a float exactly enough.
    assert from_s(to_s(ns)) == ns
    assert from_ms(to_ms(ns)) == ns
