"""The energy up to an instant: additive whatever the meter, exact where a meter's values allow it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.measure.integral import Integral
from testbed.model.energy import PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.units import MS, S

KINDS = {
    "instant": MeterTraits(quantity="instant"),
    "average": MeterTraits(quantity="average", window_ns=100 * MS),
    "overlapping": MeterTraits(quantity="average", window_ns=S),
    "counter": MeterTraits(quantity="counter"),
}


def integral(t, watts, traits):
    made = PowerTrace(
        t=np.asarray(t, dtype=np.int64),
        power_w=np.asarray(watts, dtype=np.float64),
        rail="r",
        meter="m",
        board="b",
        origin=Origin.EMULATED,
        traits=traits,
    )
    return Integral(made)


def between(found, start, end):
    return float(found.between(np.array([start]), np.array([end]))[0])


@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.floats(0, 100), min_size=2, max_size=50),
    st.lists(st.integers(-S, 6 * S), min_size=3, max_size=3, unique=True).map(sorted),
)
def test_energy_is_additive_over_adjacent_intervals(kind, watts, cuts):
    found = integral(np.arange(len(watts)) * 100 * MS, watts, KINDS[kind])
    a, b, c = cuts
    parts = between(found, a, b) + between(found, b, c)
    assert between(found, a, c) == pytest.approx(parts, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_large_stamps_lose_no_precision_and_constant_power_is_exact(kind):
    late = integral(10**18 + np.arange(100) * 100 * MS, [2.0] * 100, KINDS[kind])
    assert between(late, 10**18 + 3 * S + 7, 10**18 + 5 * S + 7) == pytest.approx(4.0, rel=1e-12)
    assert between(late, 10**18 + 5 * S, 10**18 + 3 * S) == 0.0


def test_a_counter_gives_back_the_difference_of_its_readings():
    joules = np.cumsum([0.0, 3.0, 0.5, 7.0, 1.0, 2.0])
    t = np.array([0, 100, 130, 400, 420, 500]) * MS
    found = integral(t[1:], np.diff(joules) / np.diff(t) * 1e9, KINDS["counter"])
    assert between(found, 130 * MS, 420 * MS) == pytest.approx(8.0)


def test_an_overlapping_average_loses_nothing_of_a_load_that_fits_the_interval():
    """Trapezoids alone would lose a quarter of the window times the step."""
    t = np.arange(0, 20_000, 10)
    power = np.where((t > 5_000) & (t <= 15_000), 10.0, 1.0)
    mean = np.convolve(power, np.ones(100) / 100)[: t.size]
    found = integral(t * MS, mean, KINDS["overlapping"])
    assert between(found, 5 * S, 15 * S) == pytest.approx(100.0, abs=0.1)
    plain = integral((t - 500) * MS, mean, KINDS["instant"])
    assert between(plain, 5 * S, 15 * S) == pytest.approx(100.0 - 9.0 / 4, abs=0.1)


def test_a_trace_without_samples_is_refused():
    with pytest.raises(ValueError, match="without samples"):
        integral([], [], KINDS["instant"])


def test_one_sample_is_held():
    assert between(integral([S], [3.0], KINDS["instant"]), 0, 2 * S) == pytest.approx(6.0)
