"""The shape of the result; the figures are published ones, so margins are for what a corrected profile may move."""

import pytest

from testbed.campaign.energy.pairs import BoundRow, PairRow
from testbed.campaign.energy.spec import read_energy_study
from testbed.campaign.energy.study import EdgeRow, RateRow, energy_rows, figures
from testbed.campaign.progress import Silent
from testbed.resources import root


@pytest.fixture(scope="module")
def rows():
    return energy_rows(read_energy_study(root() / "experiments" / "05-energy-per-target"), Silent())


def test_energy_grows_with_accuracy_and_steeply_above_75_per_cent(rows) -> None:
    for board in ("Raspberry Pi 4", "Odroid N2+", "Khadas VIM4", "AGX Xavier, CPU", "AGX Orin, CPU"):
        of = {r.target: r.gross_mj for r in rows if isinstance(r, EdgeRow) and r.board == board}
        assert list(of.values()) == sorted(of.values())
        assert of[0.80] > 10 * of[0.45]
        assert of[0.80] / of[0.75] > 2.5


def test_headlines(rows) -> None:
    found = figures(rows)
    assert found["energy_ratio_max"] > 10
    assert 2 < found["power_ratio_at_p50_parity_max"] < 6
    assert 4 < found["energy_ratio_at_least_max"] < 12
    assert found["outside_with_one_stack_frac"] > 0.5  # ratios of boards are largely ratios of stacks


def test_at_rest_dominates_at_low_rates(rows) -> None:
    low = [r.idle_frac for r in rows if isinstance(r, RateRow) and r.rate_hz == 1 and r.power_w]
    assert min(low) > 0.5
    assert sorted(low)[len(low) // 2] > 0.9


def test_nothing_crosses_tasks_or_what_is_metered_but_bounds(rows) -> None:
    pairs = [r for r in rows if isinstance(r, PairRow)]
    assert {(r.task, r.metered) for r in pairs} == {("image-classification/imagenet-2012", "wall")}
    bounds = [r for r in rows if isinstance(r, BoundRow)]
    assert {(r.first, r.first_metered, r.second, r.second_metered) for r in bounds} == {
        ("Nucleo-L4R5ZI", "chip", "PYNQ-Z2", "board")
    }
