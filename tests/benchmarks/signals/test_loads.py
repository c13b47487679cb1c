"""The truth that the energy benchmark is held against is exact."""

import numpy as np
import pytest

from benchmarks.signals.loads import LEAD_S, LOADS, Load, executions, square


def test_energy_of_steps_warm_up_and_rest_is_their_sum():
    load = Load(np.array([8.0, 10.0, 11.0]), np.array([5.0, 3.0]), 1.0, warm_w=2.0, tau_s=0.5)
    begin, end, later = load.energy(np.array([8.0, 11.0, 13.0]))
    warm = 2.0 * (3.0 - 0.5 * (1 - np.exp(-6.0)))
    assert end - begin == pytest.approx(2 * 5 + 3 + warm)
    assert later - end == pytest.approx(2.0)
    assert load.mean(np.array([0.0]), np.array([4.0])) == pytest.approx([1.0])


@pytest.mark.parametrize("name", sorted(LOADS))
def test_every_load_lasts_as_long_as_asked_between_its_powers(name):
    load = LOADS[name](np.random.default_rng(1), 12.0, 4.0, 10.0)
    assert (load.start, load.end) == (LEAD_S, LEAD_S + 12.0)
    t = np.linspace(0.0, 28.0, 2_801)
    power = load.mean(t[:-1], t[1:])
    assert power.min() >= 4.0 - 1e-6
    assert power.max() <= 10.0 + 1e-6


def test_a_square_is_its_height_times_its_length():
    load = square(10.0, 1.0, 7.0)
    begin, end = load.energy(np.array([load.start, load.end]))
    assert end - begin == pytest.approx(70.0)


def test_executions_draw_the_power_of_their_kind_and_do_not_overlap():
    load, spans, which, powers = executions(np.random.default_rng(2), 20.0, 4.0, 10.0)
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    for kind in (0, 1):
        mine = spans[which == kind]
        assert load.mean(mine[:, 0], mine[:, 1]) == pytest.approx(4.0 + powers[kind])
    begin, end = load.energy(np.array([load.start, load.end]))
    busy = sum(powers[kind] * (spans[which == kind] @ [-1, 1]).sum() for kind in (0, 1))
    assert end - begin == pytest.approx(4.0 * 20.0 + busy)
