from pathlib import Path

import pytest

from testbed.campaign.energy.pairs import BoundRow, PairRow
from testbed.campaign.energy.spec import read_energy_study
from testbed.campaign.energy.study import EdgeRow, IdleRow, RateRow, energy_rows, figures, run_energy
from testbed.campaign.progress import Silent
from testbed.errors import StoreError
from testbed.model.origin import Origin
from testbed.store.study import read_study
from tests.testbed.campaign.energy.test_spec import TEXT, write


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("few"), TEXT)
    return energy_rows(read_energy_study(folder), Silent())


def of(rows, kind):
    return [row for row in rows if isinstance(row, kind)]


def test_every_board_has_a_row_for_each_target_and_rate(rows) -> None:
    assert len(of(rows, EdgeRow)) == 2 * 2 + 2 * 1
    assert len(of(rows, RateRow)) == 2 * len(of(rows, EdgeRow))
    assert {row.board for row in of(rows, IdleRow)} == {"Pi", "Orin", "PYNQ", "Nucleo"}


def test_a_row_is_the_profile_it_names(rows) -> None:
    (row,) = (r for r in of(rows, EdgeRow) if r.board == "PYNQ")
    assert row.model == "pynq-z2/ic-cnv-w1a1"
    assert (row.accuracy, row.gross_mj, row.net_mj) == (0.845, 2.53045, 0.187973)
    assert row.sigma_mj == pytest.approx(0.0253045)
    assert row.idle_mj == pytest.approx(2.53045 - 0.187973)
    assert (row.origin, row.origins["gross"]) == (Origin.DERIVED, Origin.CITED)


def test_power_at_a_rate_is_rest_plus_work(rows) -> None:
    (row,) = (r for r in of(rows, RateRow) if r.board == "PYNQ" and r.rate_hz == 10)
    assert row.power_w == pytest.approx(1.549 + 10 * 0.187973e-3)
    assert row.request_mj == pytest.approx(row.power_w * 100)
    assert row.idle_frac == pytest.approx(1.549 / row.power_w)
    (slow,) = (r for r in of(rows, RateRow) if r.board == "Nucleo" and r.rate_hz == 10)
    assert (slow.model, slow.power_w) == (None, None)  # 222 ms each


def test_an_assumed_level_gives_way_to_others(rows) -> None:
    (row,) = (r for r in of(rows, IdleRow) if r.board == "PYNQ")
    assert (row.idle_low_w, row.idle_high_w, row.origin) == (1.549, 1.561, Origin.DERIVED)


def test_only_boards_of_one_panel_are_paired(rows) -> None:
    assert {(row.metered, frozenset((row.first, row.second))) for row in of(rows, PairRow)} == {
        ("wall", frozenset({"Pi", "Orin"}))
    }
    (bound,) = of(rows, BoundRow)
    assert (bound.first, bound.second) == ("Nucleo", "PYNQ")


def test_figures_are_read_off_the_rows_that_carry_their_names(rows) -> None:
    found = figures(rows)
    (most,) = (row for row in of(rows, PairRow) if "energy_ratio_max" in row.headline)
    assert found["energy_ratio_max"] == most.energy_ratio == max(r.energy_ratio for r in of(rows, PairRow))
    (bound,) = of(rows, BoundRow)
    assert bound.headline == ("energy_ratio_at_least_max",)
    assert found["energy_ratio_at_least_max"] == bound.at_least
    shares = [r.idle_frac for r in of(rows, RateRow) if r.rate_hz == 1]
    assert found["idle_frac_min_at_1_hz"] == min(shares)


def test_nothing_assumed_or_unmatched_is_a_figure(rows) -> None:
    import msgspec

    pairs = of(rows, PairRow)
    for change in ({"origin": Origin.ASSUMED}, {"matched": False}):
        weak = [msgspec.structs.replace(row, **change) for row in pairs]
        found = figures(weak)
        assert "energy_ratio_max" not in found
        assert found["energy_parity_levels"] == 0


def test_result_is_written_once_and_read_back(tmp_path: Path) -> None:
    folder = run_energy(write(tmp_path, TEXT), tmp_path / "out", seed=None, progress=Silent())
    study = read_study(folder)
    assert study.kind == "energy"
    assert {row["row"] for row in study.rows} == {"idle", "edge", "rate", "pair", "bound"}
    assert len(study.models["hwprofiles/pynq-z2"][0]) == 64
    with pytest.raises(StoreError, match="already"):
        run_energy(tmp_path, tmp_path / "out", seed=None, progress=Silent())
