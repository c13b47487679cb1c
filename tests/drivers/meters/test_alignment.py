from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.meters.alignment import OneWayClock, Unwrap

MS = 1_000_000


@given(
    delays_us=st.lists(st.integers(100, 20_000), min_size=2, max_size=200),
    offset_ns=st.integers(-(10**15), 10**15),
    drift_ppm=st.floats(-50, 50),
)
def test_stamps_increase_and_never_lie_after_the_arrival(delays_us, offset_ns, drift_ppm):
    clock = OneWayClock()
    last = None
    true = arrival = 10**12
    for delay in delays_us:
        true += 10 * MS
        arrival = max(arrival + 1, true + delay * 1000)
        own = offset_ns + round(true * (1 + drift_ppm / 1e6))
        stamp = clock.place(own, arrival)
        assert stamp <= arrival
        assert last is None or stamp > last
        last = stamp


@pytest.mark.parametrize("drift_ppm", [-50.0, 0.0, 50.0])
def test_the_error_is_the_least_delay_once_it_was_seen(drift_ppm):
    draws = random.Random(1)
    clock = OneWayClock()
    errors = []
    for k in range(1, 5000):
        true = k * 10 * MS
        delay = 200_000 + round(draws.expovariate(1 / 3e6))
        errors.append(clock.place(round(true * (1 + drift_ppm / 1e6)) - 77 * MS, true + delay) - true)
    settled = sorted(errors[500:])
    assert settled[0] >= 100_000
    assert settled[-1] <= 200_000 + 1_000_000


def test_a_restart_begins_anew_and_goes_on():
    clock = OneWayClock()
    first = clock.place(5_000 * MS, 100 * MS)
    assert clock.place(1 * MS, 150 * MS) == 150 * MS > first
    clock.forget()
    assert clock.place(2 * MS, 149 * MS) == 150 * MS + 1


def test_a_counter_is_counted_on_over_its_end_and_a_small_step_back_is_a_restart():
    unwrap = Unwrap(1 << 32)
    assert unwrap.count((1 << 32) - 5) == (1 << 32) - 5
    assert unwrap.count(3) == (1 << 32) + 3
    assert unwrap.count(1) == (1 << 32) + 1
