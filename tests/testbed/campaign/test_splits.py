from pathlib import Path

import msgspec
import numpy as np
import pytest

from testbed.campaign.data import TaskData
from testbed.campaign.progress import Silent
from testbed.campaign.splits import Shift, SplitStudy, figures, read_split_study, run_splits, split_rows
from testbed.errors import ConfigError, StoreError
from testbed.policy.metrics import Metric
from testbed.store.study import read_study

TASK = "image-classification/fashion-mnist"
STUDY = SplitStudy(
    schema=1,
    kind="splits",
    name="few",
    task=TASK,
    frontends=("cnn-tiny",),
    backend="resnet8",
    targets=(0.88,),
    splits=12,
)


@pytest.fixture(scope="module")
def data():
    return TaskData(TASK)


@pytest.fixture(scope="module")
def rows(data):
    return split_rows(STUDY, data, Silent())


def test_more_margin_costs_offload_and_buys_accuracy(rows) -> None:
    assert [row.z for row in rows] == [0.0, 1.645, 2.33]
    offload, accuracy = [[getattr(r, name) for r in rows] for name in ("offload_frac", "accuracy")]
    assert offload == sorted(offload)
    assert accuracy == sorted(accuracy)
    assert accuracy[0] == pytest.approx(0.88, abs=0.01)  # without margin, right at the promise
    assert [row.misses for row in rows][1:] == [0, 0]


def test_the_same_seed_gives_the_same_rows_and_another_others(data, rows) -> None:
    assert split_rows(STUDY, data, Silent()) == rows
    assert split_rows(msgspec.structs.replace(STUDY, seed=2), data, Silent()) != rows


def test_a_broken_promise_is_seen(data) -> None:
    """Thresholds from a handful of samples, without margin, promise what they cannot keep."""
    bold = msgspec.structs.replace(STUDY, calibration=60, z=(0.0,), splits=30, targets=(0.9,))
    (row,) = split_rows(bold, data, Silent())
    assert 0.1 < row.misses / row.promised < 0.8
    assert figures(bold, [row])["miss_frac"] == row.misses / row.promised


def test_a_shifted_mix_breaks_the_promise_and_the_guard_only_ever_escalates_more(data) -> None:
    shift = Shift(weights=(4.0,), stream=4000, shadow_frac=0.5)
    plain, off, on = split_rows(
        msgspec.structs.replace(STUDY, z=(1.645,), splits=6, shift=shift), data, Silent()
    )
    assert (plain.weight, off.guarded, on.guarded) == (1.0, False, True)
    assert off.accuracy < 0.86 < plain.accuracy
    assert on.accuracy > off.accuracy
    assert on.offload_frac > off.offload_frac
    assert on.raised > 0 == off.raised
    assert figures(STUDY, [off, on]) == {}  # no promise is made for a shifted mix


def test_targets_out_of_reach_are_not_promised(data) -> None:
    (row,) = split_rows(msgspec.structs.replace(STUDY, targets=(0.99,), z=(1.0,), splits=2), data, Silent())
    assert (row.promised, row.misses, row.accuracy) == (0, 0, None)


@pytest.mark.parametrize("metric", [Metric.MARGIN, Metric.ENTROPY])
def test_other_metrics_keep_promises_too(data, metric) -> None:
    (row,) = split_rows(msgspec.structs.replace(STUDY, metric=metric, z=(2.33,), splits=6), data, Silent())
    assert row.misses == 0
    assert row.accuracy > 0.88


def test_wrong_model_or_too_many_calibration_samples_are_named(data) -> None:
    with pytest.raises(ConfigError, match="cnn-tiny"):
        split_rows(msgspec.structs.replace(STUDY, frontends=("cnn-tny",)), data, Silent())
    with pytest.raises(ConfigError, match="calibration"):
        split_rows(msgspec.structs.replace(STUDY, calibration=4000), data, Silent())


TEXT = f"""
schema = 1
kind = "splits"
name = "few"
task = "{TASK}"
frontends = ["cnn-tiny"]
backend = "resnet8"
targets = [0.88]
splits = 2
"""


def test_result_is_written_once_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "campaign.toml").write_text(TEXT)
    folder = run_splits(tmp_path, tmp_path / "out", seed=5, progress=Silent())
    study = read_study(folder)
    assert (study.kind, study.seed, len(study.rows)) == ("splits", 5, 3)
    assert set(study.models) == {"cnn-tiny", "resnet8"}
    assert np.isfinite(list(study.figures.values())).all()
    with pytest.raises(StoreError, match="already"):
        run_splits(tmp_path, tmp_path / "out", seed=5, progress=Silent())


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("targets = [1.2]", "targets"),
        ("splits = 0", "splits"),
        ("seed = -1", "seed"),
        ("metrik = 1", "metrik"),
    ],
)
def test_wrong_file_names_the_key(tmp_path: Path, line: str, key: str) -> None:
    text = TEXT if key == "metrik" else "\n".join(r for r in TEXT.splitlines() if not r.startswith(key))
    (tmp_path / "campaign.toml").write_text(f"{text}\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        read_split_study(tmp_path)
    assert key in str(caught.value)
    assert "campaign.toml" in str(caught.value)
