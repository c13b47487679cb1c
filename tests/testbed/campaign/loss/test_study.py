from pathlib import Path

import msgspec
import pytest

from testbed.campaign.loss import study as loss_study
from testbed.campaign.loss.sets import shipped_set
from testbed.campaign.loss.spec import read_loss_study
from testbed.campaign.loss.study import figures, loss_rows, run_loss
from testbed.campaign.progress import Silent
from testbed.errors import ConfigError
from testbed.store.study import read_study
from tests.testbed.campaign.loss.test_sets import write_folder
from tests.testbed.campaign.loss.test_spec import TEXT


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    (folder / "campaign.toml").write_text(TEXT)
    return read_loss_study(folder)


@pytest.fixture(scope="module")
def given(study):
    return shipped_set(study.task, [*study.frontends, study.backend])


@pytest.fixture(scope="module")
def result(study, given):
    return loss_rows(study, given, Silent())


def test_every_condition_has_a_row(study, result) -> None:
    lossy = [row for row in result.answers if row.pattern != "none"]
    assert [row.model for row in result.answers if row.pattern == "none"] == ["cnn-tiny", "resnet8"]
    assert len(lossy) == 2 * 2 * 4  # patterns, losses, fills
    assert len(result.thresholds) == 2 * 2 * 2
    assert all(row.n == 120 and row.low <= row.accuracy <= row.high for row in result.answers)


def test_more_loss_leaves_less_and_neighbours_fill_better_than_grey(result) -> None:
    at = {(row.pattern, row.loss, row.fill): row for row in result.answers if row.pattern != "none"}
    for fill in ("grey", "linear"):
        assert at["iid", 0.2, fill].agreement < at["iid", 0.05, fill].agreement < 1
    assert at["iid", 0.2, "linear"].agreement > at["iid", 0.2, "grey"].agreement + 0.05
    assert at["iid", 0.2, "grey"].lost_frac == pytest.approx(0.2, abs=0.06)
    assert at["bursts", 0.2, "grey"].hit < at["iid", 0.2, "grey"].hit


def test_pictures_that_lost_nothing_are_answered_as_before(given, study, result) -> None:
    for row in result.answers:
        assert row.agreement >= 1 - row.hit / row.n


def test_the_same_seed_gives_the_same_rows_and_another_others(study, given, result) -> None:
    again = loss_rows(study, given, Silent())
    assert (again.answers, again.thresholds) == (result.answers, result.thresholds)
    other = loss_rows(msgspec.structs.replace(study, seed=2), given, Silent())
    assert other.answers != result.answers


def test_figures_are_the_worst_of_the_headline_loss(study, result) -> None:
    found = figures(study, result)
    mine = [row for row in result.thresholds if row.loss == 0.05 and row.promised]
    assert found["lossy_accuracy_drop_pt"] == max(row.drop_pt for row in mine if row.aware)
    assert found["lossy_accuracy_drop_blind_pt"] == max(row.drop_pt for row in mine if not row.aware)
    assert found["pictures"] == 120
    assert found["packets_per_picture"] > found["packets_min"] >= 3
    assert set(found) >= {f"edge_drop_pt_{p}_{f}" for p in study.patterns for f in study.fills}


def test_a_folder_of_ones_own_is_played_and_written(tmp_path: Path) -> None:
    write_folder(tmp_path / "given")
    (tmp_path / "campaign.toml").write_text(
        TEXT.replace('task = "image-classification/fashion-mnist"', 'folder = "given"')
        .replace("samples = 120\n", "")
        .replace('"cnn-tiny"', '"means"')
        .replace('"resnet8"', '"means"')
        .replace("limit_bytes = 96", "limit_bytes = 200")
    )
    run_loss(tmp_path, tmp_path / "out", seed=3, progress=Silent())
    study = read_study(tmp_path / "out")
    assert (study.kind, study.seed, list(study.models)) == ("loss", 3, ["means"])
    assert study.rows[0]["correct"] == 3
    with pytest.raises(ConfigError, match="export.py"):
        (tmp_path / "given" / "ladder.toml").unlink()
        run_loss(tmp_path, tmp_path / "other", seed=3, progress=Silent())


def test_response_times_that_cannot_be_had_are_left_out_with_the_reason(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    (folder / "campaign.toml").write_text(TEXT + "[live]\n")
    monkeypatch.setattr(loss_study, "play_live", lambda *_: ([], "network namespaces need root"))
    found = read_study(run_loss(folder, tmp_path / "out", seed=None, progress=Silent()))
    assert found.rows[-1] == {"what": "left out", "reason": "network namespaces need root"}
    assert "lossy_p99_frac" not in found.figures
    assert "lossy_accuracy_drop_pt" in found.figures
