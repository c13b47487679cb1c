"""Each cause of uncertainty is what its derivation says, on traces where it stands alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from testbed.measure.budget import budget, quiet
from testbed.measure.integral import Integral
from testbed.model.energy import UNKNOWN_METER, PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.units import MS, S


def parts(watts, span, *, traits=UNKNOWN_METER, period=100 * MS, **known):
    trace = PowerTrace(
        t=np.arange(len(watts), dtype=np.int64) * period,
        power_w=np.asarray(watts, dtype=np.float64),
        rail="r",
        meter="m",
        board="b",
        origin=Origin.EMULATED,
        traits=traits,
        **known,
    )
    return budget(trace, Integral(trace), *span)


def test_a_constant_load_sits_on_one_step_for_good():
    found = parts([3.0] * 101, (0, 10 * S), step_w=0.04)
    assert found["steps"] == pytest.approx(0.04 / math.sqrt(12) * 10)
    assert (found["sampling"], found["edges"], found["time"]) == (0.0, 0.0, 0.0)


def test_two_levels_are_two_independent_errors_however_often_they_alternate():
    found = parts([1.0, 5.0] * 50, (0, 9_900 * MS), step_w=0.04)
    assert found["steps"] == pytest.approx(0.04 / math.sqrt(12) * math.hypot(4.95, 4.95), rel=1e-3)


def test_without_a_stated_step_the_smallest_difference_seen_stands_in():
    watts = [1.0] * 50 + [1.25] * 50
    assert parts(watts, (0, 9_900 * MS))["steps"] == parts(watts, (0, 9_900 * MS), step_w=0.25)["steps"]


def test_each_edge_is_half_a_period_of_its_swing():
    step = [1.0] * 20 + [5.0] * 60 + [1.0] * 20
    found = parts(step, (1_950 * MS, 7_950 * MS), step_w=0.0)
    assert found["edges"] == pytest.approx(math.hypot(0.2, 0.2) / math.sqrt(3))
    assert found["sampling"] == 0.0


def test_the_clock_counts_once_and_a_late_value_too():
    step = [1.0] * 20 + [5.0] * 60 + [1.0] * 20
    late = MeterTraits(quantity="instant", delay_bound_ns=30 * MS)
    found = parts(step, (1_950 * MS, 7_950 * MS), bound=40 * MS, traits=late)
    assert found["time"] == pytest.approx(4.0 * 0.05 / math.sqrt(3))


def test_what_changes_faster_than_the_meter_looks_is_white():
    """n independent samples of spread s err by s T sqrt(n) in all."""
    rng = np.random.default_rng(3)
    found = parts(5.0 + rng.normal(0, 0.5, 4_001), (0, 400 * S), step_w=0.0)
    assert found["sampling"] == pytest.approx(0.5 * 0.1 * math.sqrt(4_001), rel=0.1)


def test_what_changes_slower_errs_by_half_a_period_of_each_change():
    watts = np.repeat([1.0, 3.0, 2.0, 6.0, 4.0, 1.0, 5.0, 2.0], 50)
    found = parts(watts, (0, 39_900 * MS), step_w=0.0)
    changes = math.sqrt(float((np.diff(watts) ** 2).sum()))
    assert found["sampling"] == pytest.approx(0.1 / math.sqrt(12) * changes, rel=0.02)


def test_a_meter_without_pauses_misses_nothing_but_in_gaps():
    rng = np.random.default_rng(3)
    gapless = MeterTraits(quantity="average", window_ns=100 * MS)
    assert parts(rng.uniform(1, 9, 200), (S, 19 * S), traits=gapless)["sampling"] == 0.0
    half = MeterTraits(quantity="average", window_ns=50 * MS)
    watts = rng.normal(5, 1, 2_000)
    whole = parts(watts, (S, 199 * S))["sampling"]
    assert parts(watts, (S, 199 * S), traits=half)["sampling"] == pytest.approx(
        whole / math.sqrt(2), rel=0.05
    )


def test_values_read_more_often_than_they_are_made_are_not_more_of_them():
    rng = np.random.default_rng(5)
    made = rng.normal(5, 1, 500)
    slow = MeterTraits(quantity="instant", period_ns=100 * MS)
    often = parts(np.repeat(made, 5), (S, 49 * S), traits=slow, period=20 * MS)["sampling"]
    assert often == pytest.approx(parts(made, (S, 49 * S))["sampling"], rel=0.05)


def test_a_counter_has_its_steps_at_the_ends_and_its_lateness_in_the_power_itself():
    counter = MeterTraits(quantity="counter", delay_bound_ns=50 * MS)
    found = parts([8.0] * 101, (S, 9 * S), traits=counter, step_j=0.01)
    assert found["steps"] == pytest.approx(0.01 / math.sqrt(6))
    assert found["time"] == pytest.approx(0.05 * 8 * math.sqrt(2) / math.sqrt(3))
    assert found["sampling"] == 0.0


def test_power_at_rest_needs_three_samples_of_its_own():
    trace = PowerTrace(
        t=np.arange(10, dtype=np.int64) * S,
        power_w=np.full(10, 2.0),
        rail="r",
        meter="m",
        board="b",
        origin=Origin.EMULATED,
        step_w=0.1,
        traits=MeterTraits(quantity="average", window_ns=S),
    )
    found = quiet(trace, Integral(trace), 0, 4 * S)
    assert found.power_w == pytest.approx(2.0)
    assert found.steps_w == pytest.approx(0.1 / math.sqrt(12))
    assert quiet(trace, Integral(trace), 0, 2_900 * MS) is None
