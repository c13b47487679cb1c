"""The shipped catalogue keeps its promises, and a folder that was tampered with is refused."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from testbed.errors import ConfigError
from testbed.zoo.catalog import ZOO, Catalog, ExitRef, load_catalog, shipped
from testbed.zoo.files import load_predictions, load_samples

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

TASK = "image-classification/fashion-mnist"
SETS = ("test", "calibration")
LADDER = (
    (("cnn-tiny", "probabilities"), ("cnn-small", "probabilities")),
    (("cnn-small", "probabilities"), ("resnet8", "probabilities")),
    (("resnet8-ee", "exit0"), ("resnet8-ee", "exit1")),
    (("resnet8-ee", "exit1"), ("resnet8-ee", "exit2")),
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(shipped(TASK))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(shipped(TASK), tmp_path / "zoo")


def hits(catalog: Catalog, model: str, exit_name: str, name: str) -> npt.NDArray[np.bool_]:
    answers = load_predictions(catalog, model, name)[exit_name]
    right: npt.NDArray[np.bool_] = answers.argmax(1) == load_samples(catalog, name).labels
    return right


def test_the_whole_zoo_stays_small() -> None:
    sizes = [p.stat().st_size for p in ZOO.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(sizes) <= 3_200_000


def test_the_folder_holds_nothing_the_catalogue_does_not_name(catalog: Catalog) -> None:
    named = {part.file for model in catalog.models for part in model.parts}
    named |= {model.predictions.file for model in catalog.models}
    named |= {given.file for given in catalog.sets.values()} | {"catalog.toml", "README.md", "NOTICE"}
    found = {str(p.relative_to(catalog.directory)) for p in catalog.directory.rglob("*") if p.is_file()}
    assert found == named


def test_accuracies_are_what_the_stored_predictions_give(catalog: Catalog) -> None:
    for model in catalog.models:
        for one in model.exits:
            for name, stated in zip(SETS, (one.test, one.calibration), strict=True):
                right = int(hits(catalog, model.name, one.name, name).sum())
                assert (stated.correct, stated.samples) == (right, 2000)
                assert stated.low < stated.accuracy < stated.high


def test_cost_grows_from_exit_to_exit(catalog: Catalog) -> None:
    for model in catalog.models:
        costs = [e.macs for e in model.exits]
        assert costs == sorted(set(costs))
        assert costs[-1] == model.macs


@pytest.mark.parametrize(("worse", "better"), LADDER)
def test_every_step_up_is_significant(
    catalog: Catalog, worse: tuple[str, str], better: tuple[str, str]
) -> None:
    low, high = hits(catalog, *worse, "test"), hits(catalog, *better, "test")
    lost, won = int((low & ~high).sum()), int((high & ~low).sum())
    tail = sum(math.comb(lost + won, k) for k in range(min(lost, won) + 1))
    p_value = min(1.0, 2 * tail / 2 ** (lost + won))
    assert won > lost
    assert p_value < 0.01
    refs = [ExitRef(model=m, exit=e) for m, e in (worse, better)]
    step = next(s for s in catalog.steps if [s.worse, s.better] == refs)
    assert (step.only_worse_right, step.only_better_right) == (lost, won)
    assert step.p_value == pytest.approx(p_value, rel=0.01)


def test_reading_the_catalogue_needs_no_runtime_and_no_torch() -> None:
    code = (
        "import sys, testbed.zoo.catalog; print(sorted({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("format = 1", "format = 2", "format"),
        ("format = 1", "format = 'one'", "format"),
        ("split_seed", "split_sed", "split_sed"),
        ('file = "test.npz"', 'file = "../test.npz"', "file"),
        ('name = "exit1"', 'name = "exit9"', "models.resnet8-ee.exits"),
        ("correct = 1", "correct = 2", "models.cnn-tiny.exits.probabilities.accuracy"),
        ('name = "cnn-small"', 'name = "cnn-tiny"', "models"),
    ],
)
def test_a_catalogue_that_makes_no_sense_names_the_key(copy: Path, before: str, after: str, key: str) -> None:
    path = copy / "catalog.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(ConfigError) as caught:
        load_catalog(copy)
    assert caught.value.key == key
    assert caught.value.file == str(path)
    assert caught.value.cure


def test_what_is_not_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_catalog(tmp_path)
    (tmp_path / "catalog.toml").write_text("models = [")
    with pytest.raises(ConfigError, match="not a TOML file"):
        load_catalog(tmp_path)


def test_a_mistyped_name_gets_a_suggestion(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="resnet8"):
        catalog.model("resnet-8")
    with pytest.raises(ConfigError, match="calibration"):
        catalog.sample_set("calibraton")
    with pytest.raises(ConfigError, match="fashion-mnist"):
        shipped("image-classification/fashionmnist")
