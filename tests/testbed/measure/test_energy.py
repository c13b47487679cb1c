"""Energy is interpolated at the edges, comes with its uncertainty, and is refused where the samples cannot carry it."""

from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.measure.energy import EnergyBook, Idle, add_energies
from testbed.model.energy import UNKNOWN_METER, Energy, PowerTrace
from testbed.model.meter import MeterTraits
from testbed.model.origin import Origin
from testbed.units import MS, S


def trace(watts, *, period=100 * MS, begin=0, **known):
    t = begin + np.arange(len(watts), dtype=np.int64) * period
    return PowerTrace(
        t=t,
        power_w=np.asarray(watts, dtype=np.float64),
        rail="VDD_IN",
        meter="m",
        board="b",
        origin=Origin.EMULATED,
        **known,
    )


def book(watts, **known):
    return EnergyBook(trace(watts, **known))


def gain(frac):
    return msgspec.structs.replace(UNKNOWN_METER, gain_frac=frac)


def test_edges_are_interpolated_on_a_ramp():
    ramp = book([0.0, 1.0, 2.0, 3.0, 4.0], period=S)
    assert ramp.gross((500 * MS, 3_500 * MS)) == pytest.approx(0.5 * (0.5 + 3.5) * 3)


def test_net_is_gross_less_idle():
    found = book([5.0] * 100).energy((1 * S, 9 * S), Idle(power_w=2.0, sigma_w=0.0))
    assert found.gross_j == pytest.approx(40)
    assert found.idle_j == pytest.approx(16)
    assert found.net_j == pytest.approx(24)
    assert found.scope == "b VDD_IN"
    assert found.origin is Origin.EMULATED


def test_it_says_how_well_the_interval_is_covered():
    whole = book([5.0] * 100).energy((1 * S, 9 * S))
    assert (whole.samples, whole.covered_frac) == (81, pytest.approx(1.0))
    assert whole.gap_frac == pytest.approx(0.1 / 8)
    power = trace([5.0] * 100)
    keep = np.r_[0:30, 40:100]
    holed = EnergyBook(
        PowerTrace(
            t=power.t[keep],
            power_w=power.power_w[keep],
            rail="r",
            meter="m",
            board="b",
            origin=Origin.MEASURED,
        )
    ).energy((0, 9_900 * MS))
    assert holed.gap_frac == pytest.approx(1.1 / 9.9)
    assert holed.covered_frac == pytest.approx(1 - 1.1 / 9.9)


def test_without_idle_there_is_gross_but_no_net_and_a_reason():
    found = book([5.0] * 100).energy((1 * S, 9 * S), Idle(power_w=None, reason="nobody looked"))
    assert found.gross_j == pytest.approx(40)
    assert found.net_j is None
    assert found.reason == "nobody looked"
    assert "no idle power" in book([5.0] * 100).energy((1 * S, 9 * S)).reason


@pytest.mark.parametrize(
    ("power", "span", "reason"),
    [
        (trace([1.0] * 100), (50 * MS, 250 * MS), "2 power samples"),
        (trace([1.0] * 100), (5 * S, 15 * S), "51%"),
        (trace([1.0] * 100), (3 * S, 3 * S), "empty"),
        (trace([]), (0, S), "0 power samples"),
        (trace([1.0] * 100, over=np.array([[2 * S, 2 * S]])), (S, 9 * S), "end of its range"),
    ],
    ids=["too few", "leaves the trace", "empty", "no samples", "saturated"],
)
def test_refused_with_a_reason_never_zero(power, span, reason):
    found = EnergyBook(power).energy(span)
    assert found.gross_j is None
    assert found.net_j is None
    assert found.sigma_j is None
    assert reason in found.reason


def test_saturation_elsewhere_spoils_nothing():
    power = trace([1.0] * 100, over=np.array([[500 * MS, 600 * MS]]))
    assert EnergyBook(power).energy((S, 9 * S)).gross_j == pytest.approx(8.0)


def test_a_hole_of_over_a_fifth_is_refused():
    whole = trace([1.0] * 100)
    keep = np.r_[0:30, 60:100]
    holed = EnergyBook(
        PowerTrace(
            t=whole.t[keep],
            power_w=whole.power_w[keep],
            rail="r",
            meter="m",
            board="b",
            origin=Origin.MEASURED,
        )
    )
    assert "without a power sample" in holed.energy((0, 9_900 * MS)).reason
    assert holed.energy((0, 2_900 * MS)).gross_j == pytest.approx(2.9)


def test_gain_counts_on_the_net_and_offset_on_the_gross_only():
    meter = book([5.0] * 101, traits=gain(0.01), step_w=0.0, offset_w=0.1)
    found = meter.energy((0, 10 * S), Idle(power_w=3.0, sigma_w=0.0))
    assert found.sigma_j == pytest.approx(0.01 * 20)
    assert found.sigma_gross_j == pytest.approx(math.hypot(0.01 * 50, 0.1 * 10))
    gross_only = meter.energy((0, 10 * S))
    assert gross_only.sigma_j == pytest.approx(found.sigma_gross_j)


def test_the_budget_adds_up_to_sigma_and_names_the_idle():
    power = book([1.0] * 20 + [5.0] * 60 + [1.0] * 20, traits=gain(0.02), bound=10 * MS)
    found = power.energy((1_950 * MS, 7_950 * MS), Idle(power_w=1.0, sigma_w=0.1))
    assert found.sigma_j == pytest.approx(math.hypot(*found.budget.values()))
    assert set(found.budget) == {"steps", "sampling", "edges", "time", "gain", "idle"}
    assert found.budget["idle"] == pytest.approx(0.6)


def test_idle_power_counts_the_disagreement_of_before_and_after_and_shows_the_drift():
    power = book([1.0] * 50 + [9.0] * 50 + [1.2] * 50, step_w=0.0)
    spans = [(0, 4 * S), (10_500 * MS, 14_500 * MS)]
    found = power.idle(spans)
    assert found.power_w == pytest.approx(1.1)
    assert found.sigma_w == pytest.approx(0.1 / math.sqrt(3))
    assert found.drift_w == pytest.approx(0.2)
    assert power.energy((5 * S, 10 * S), found).idle_drift_w == pytest.approx(0.2)
    assert "no idle window" in power.idle([]).reason
    assert "power samples" in power.idle([(0, 100 * MS)]).reason


def test_idle_power_is_told_by_samples_that_saw_nothing_but_idle():
    """A value that averages a second still holds the load half a second after its end."""
    average = MeterTraits(quantity="average", window_ns=S)
    watts = np.convolve(np.where(np.arange(200) < 100, 9.0, 1.0), np.ones(10) / 10)[:200]
    found = book(watts, traits=average, step_w=0.0).idle([(10 * S, 14 * S)])
    assert found.power_w == pytest.approx(1.0)
    short = book(watts, traits=average).idle([(10 * S, 11 * S)])
    assert short.power_w is None
    assert "looks back 1 s" in short.reason


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


@given(
    st.lists(st.floats(0.5, 60), min_size=40, max_size=80),
    st.lists(st.integers(300, 3_500), min_size=2, max_size=24, unique=True).map(sorted),
    st.floats(0, 5),
)
def test_a_run_is_the_sum_of_its_batches_of_the_rest_between_them_and_of_idle(watts, edges, idle_w):
    """Batches are every second stretch; none is too short to be summed, though it may be to be told by itself."""
    found = book(watts)
    run = (100 * MS, 3_800 * MS)
    cuts = [100, *edges, 3_800]
    stretches = [(a * MS, b * MS) for a, b in itertools.pairwise(cuts)]
    batches, rests = stretches[1::2], stretches[0::2]
    idle = Idle(power_w=idle_w, sigma_w=0.0)
    whole = found.energy(run, idle)
    assert whole.gross_j == pytest.approx(math.fsum(found.gross(s) for s in [*batches, *rests]), rel=1e-9)
    assert whole.idle_j + whole.net_j == pytest.approx(whole.gross_j, rel=1e-9)
    above = [found.gross((a, b)) - idle_w * (b - a) / S for a, b in [*batches, *rests]]
    assert whole.net_j == pytest.approx(math.fsum(above), rel=1e-9, abs=1e-9)
    told = [e for e in (found.energy(s, idle) for s in stretches) if e.net_j is not None]
    assert all(e.net_j <= e.gross_j for e in told)
