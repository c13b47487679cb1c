"""Energy is additive, interpolated at the edges, and refused where the samples cannot carry it."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.measure.clocksync import COORDINATOR, ClockBook
from testbed.measure.energy import Idle, add_energies, energy_in, idle_power, integrate, total_trace
from testbed.model.energy import Energy, PowerTrace
from testbed.model.origin import Origin
from testbed.model.record import PowerSamples
from testbed.units import MS, S


def trace(watts, *, period=100 * MS, begin=0, bound=0):
    t = begin + np.arange(len(watts), dtype=np.int64) * period
    return PowerTrace(
        t=t,
        power_w=np.asarray(watts, dtype=np.float64),
        rail="VDD_IN",
        meter="m",
        board="b",
        origin=Origin.EMULATED,
        bound=bound,
    )


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=50),
    st.lists(st.integers(0, 5 * S), min_size=3, max_size=3, unique=True).map(sorted),
)
def test_energy_is_additive_over_adjacent_intervals(watts, cuts):
    power = trace(watts)
    a, b, c = cuts
    parts = integrate(power, (a, b)) + integrate(power, (b, c))
    assert integrate(power, (a, c)) == pytest.approx(parts, rel=1e-9, abs=1e-9)


def test_edges_are_interpolated_on_a_ramp():
    ramp = trace([0.0, 1.0, 2.0, 3.0, 4.0], period=S)
    assert integrate(ramp, (500 * MS, 3_500 * MS)) == pytest.approx(0.5 * (0.5 + 3.5) * 3)


def test_large_stamps_lose_no_precision():
    late = trace([2.0] * 50, begin=10**18)
    assert integrate(late, (10**18 + 1 * S, 10**18 + 3 * S)) == pytest.approx(4.0, rel=1e-12)


def test_net_is_gross_less_idle():
    found = energy_in(trace([5.0] * 100), (1 * S, 9 * S), idle=Idle(power_w=2.0, sigma_w=0.0))
    assert found.gross_j == pytest.approx(40)
    assert found.idle_j == pytest.approx(16)
    assert found.net_j == pytest.approx(24)
    assert found.scope == "b VDD_IN"
    assert found.origin is Origin.EMULATED


def test_without_idle_there_is_gross_but_no_net_and_a_reason():
    found = energy_in(trace([5.0] * 100), (1 * S, 9 * S), idle=Idle(power_w=None, reason="nobody looked"))
    assert found.gross_j == pytest.approx(40)
    assert found.net_j is None
    assert found.reason == "nobody looked"


@pytest.mark.parametrize(
    ("power", "span", "reason"),
    [
        (trace([1.0] * 100), (50 * MS, 250 * MS), "2 power samples"),
        (trace([1.0] * 100), (5 * S, 15 * S), "51%"),
        (trace([1.0] * 100), (3 * S, 3 * S), "empty"),
        (trace([]), (0, S), "0 power samples"),
    ],
    ids=["too few", "leaves the trace", "empty", "no samples"],
)
def test_refused_with_a_reason_never_zero(power, span, reason):
    found = energy_in(power, span)
    assert found.gross_j is None
    assert found.net_j is None
    assert found.sigma_j is None
    assert reason in found.reason


def test_a_hole_of_over_a_fifth_is_refused():
    whole = trace([1.0] * 100)
    keep = np.r_[0:30, 60:100]
    holed = PowerTrace(
        t=whole.t[keep], power_w=whole.power_w[keep], rail="r", meter="m", board="b", origin=Origin.MEASURED
    )
    assert "without a power sample" in energy_in(holed, (0, 9_900 * MS)).reason
    assert energy_in(holed, (0, 2_900 * MS)).gross_j == pytest.approx(2.9)


def test_sigma_of_a_constant_load_is_the_quantisation_step():
    found = energy_in(trace([3.0] * 101), (0, 10 * S), idle=Idle(power_w=1.0, sigma_w=0.0), step_w=0.04)
    assert found.sigma_j == pytest.approx(0.04 / math.sqrt(12) * 10)


def test_sigma_grows_with_edges_clock_and_idle():
    step = trace([1.0] * 20 + [5.0] * 60 + [1.0] * 20)
    span = (1_950 * MS, 7_950 * MS)
    plain = energy_in(step, span, idle=Idle(power_w=1.0, sigma_w=0.0), step_w=0.0).sigma_j
    # Two edges, each half a period times a step of 4 W.
    assert plain == pytest.approx(math.hypot(0.2, 0.2) / math.sqrt(3))
    blurred = trace(step.power_w.tolist(), bound=50 * MS)
    assert energy_in(blurred, span, idle=Idle(power_w=1.0, sigma_w=0.0), step_w=0.0).sigma_j > plain
    assert energy_in(step, span, idle=Idle(power_w=1.0, sigma_w=0.1), step_w=0.0).sigma_j > plain
    assert energy_in(step, span, idle=Idle(power_w=1.0), step_w=0.0, gain_frac=0.05).sigma_j > plain


def test_idle_power_counts_the_disagreement_of_before_and_after():
    power = trace([1.0] * 50 + [9.0] * 50 + [1.2] * 50)
    spans = [(0, 4 * S), (10_500 * MS, 14_500 * MS)]
    found = idle_power(power, spans)
    assert found.power_w == pytest.approx(1.1)
    assert found.sigma_w == pytest.approx(0.1 / math.sqrt(3))
    assert "no idle window" in idle_power(power, []).reason
    assert "power samples" in idle_power(power, [(0, 100 * MS)]).reason


BLOCK = PowerSamples(
    board="b",
    boot=COORDINATOR,
    meter="ina3221",
    rails=("VDD_GPU", "NC", "VDD_CPU"),
    total=("VDD_GPU", "VDD_CPU"),
    t=(0, S, 2 * S),
    power_w=(1.0, 100.0, 2.0, 1.5, 100.0, 2.5, 2.0, 100.0, 3.0),
    origin="cited",
)


def test_only_the_total_rails_are_added():
    found = total_trace([BLOCK], ClockBook({}))
    assert found.power_w.tolist() == [3.0, 4.0, 5.0]
    assert found.rail == "VDD_GPU+VDD_CPU"
    assert found.origin is Origin.CITED


def test_overlapping_blocks_give_increasing_stamps():
    again = msgspec.structs.replace(BLOCK, t=(S, 2 * S, 3 * S))
    assert total_trace([again, BLOCK], ClockBook({})).t.tolist() == [0, S, 2 * S, 3 * S]


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([], "no power samples"),
        ([msgspec.structs.replace(BLOCK, total=())], "board's total"),
        ([msgspec.structs.replace(BLOCK, boot=0)], "never probed"),
    ],
)
def test_no_trace_without_a_reason(blocks, reason):
    assert reason in total_trace(blocks, ClockBook({}))


def test_a_sum_with_a_missing_part_is_missing():
    one = Energy(gross_j=4.0, idle_j=1.0, sigma_j=0.3, scope="a", origin=Origin.EMULATED)
    two = Energy(gross_j=6.0, idle_j=2.0, sigma_j=0.4, scope="b", origin=Origin.MEASURED)
    none = Energy(
        gross_j=None, idle_j=None, sigma_j=None, scope="c", origin=Origin.MEASURED, reason="no RAPL"
    )
    both = add_energies([one, two], "a, b")
    assert (both.gross_j, both.idle_j, both.origin) == (10.0, 3.0, Origin.EMULATED)
    assert both.sigma_j == pytest.approx(0.5)
    assert add_energies([one, none], "a, c").gross_j is None
    assert add_energies([one, none], "a, c").reason == "no RAPL"
    assert add_energies([], "").reason
