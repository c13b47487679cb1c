"""The shipped catalogue keeps its promises, and a folder that was tampered with is refused."""

from __future__ import annotations

import hashlib
import math
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
import pytest

from testbed.errors import ConfigError
from testbed.zoo.catalog import (
    ZOO,
    Catalog,
    ExitRef,
    load_catalog,
    load_graphs,
    load_predictions,
    load_samples,
    shipped,
    verify,
)

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


def test_every_file_has_its_hash_and_size(catalog: Catalog) -> None:
    for model in catalog.models:
        graphs = load_graphs(catalog, model.name)
        assert [len(g) for g in graphs] == [p.size_bytes for p in model.parts]
        for name in SETS:
            assert set(load_predictions(catalog, model.name, name)) == {e.name for e in model.exits}


def test_the_folder_holds_nothing_the_catalogue_does_not_name(catalog: Catalog) -> None:
    named = {part.file for model in catalog.models for part in model.parts}
    named |= {model.predictions.file for model in catalog.models}
    named |= {given.file for given in catalog.sets.values()} | {"catalog.toml", "README.md", "NOTICE"}
    found = {str(p.relative_to(catalog.directory)) for p in catalog.directory.rglob("*") if p.is_file()}
    assert found == named


@pytest.mark.parametrize("name", SETS)
def test_each_set_has_200_images_of_every_class(catalog: Catalog, name: str) -> None:
    samples = load_samples(catalog, name)
    assert samples.images.shape == (2000, 28, 28)
    assert np.bincount(samples.labels).tolist() == [200] * len(catalog.classes)
    assert len(set(samples.rows.tolist())) == 2000


def test_the_two_sets_share_no_image(catalog: Catalog) -> None:
    test, calibration = (load_samples(catalog, name) for name in SETS)
    assert not set(test.rows.tolist()) & set(calibration.rows.tolist())
    assert not {i.tobytes() for i in test.images} & {i.tobytes() for i in calibration.images}


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


@pytest.mark.parametrize("name", SETS)
def test_onnxruntime_gives_the_stored_predictions(catalog: Catalog, name: str) -> None:
    chosen = np.random.default_rng(1).choice(2000, 48, replace=False)
    images = load_samples(catalog, name).images[chosen][:, None]
    for model in catalog.models:
        stored, x = load_predictions(catalog, model.name, name), images
        for part, graph, one in zip(model.parts, load_graphs(catalog, model.name), model.exits, strict=True):
            session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
            assert [o.name for o in session.get_outputs()] == list(part.outputs)
            given = session.get_inputs()[0]
            assert (given.name, list(given.shape)) == (part.input, ["N", *part.shape])
            found = dict(zip(part.outputs, session.run(None, {part.input: x}), strict=True))
            bound = 0.05 if model.precision == "int8" else 0.001  # 8-bit kernels round differently
            assert np.abs(found[one.name] - stored[one.name][chosen]).max() < bound
            x = found[part.outputs[-1]]


def test_one_image_gives_what_the_batch_gives(catalog: Catalog) -> None:
    session = ort.InferenceSession(load_graphs(catalog, "resnet8")[0], providers=["CPUExecutionProvider"])
    images = load_samples(catalog, "test").images[:3, None]
    singly = [session.run(None, {"image": i[None]})[0][0] for i in images]
    np.testing.assert_allclose(session.run(None, {"image": images})[0], singly, atol=1e-5)


def test_reading_the_catalogue_needs_no_runtime_and_no_torch() -> None:
    code = (
        "import sys, testbed.zoo.catalog; print(sorted({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrong_hash_is_refused(copy: Path) -> None:
    catalog = load_catalog(copy)
    path = copy / "resnet8.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ConfigError, match="SHA-256") as caught:
        load_graphs(catalog, "resnet8")
    assert caught.value.file == str(path)
    assert caught.value.cure


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "test.npz").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_samples(load_catalog(copy), "test")


def test_verify_hands_back_what_it_checked(copy: Path) -> None:
    wanted = load_catalog(copy).sets["test"].sha256
    assert verify(copy / "test.npz", wanted) == (copy / "test.npz").read_bytes()


def test_predictions_of_other_weights_are_refused(copy: Path) -> None:
    text = (copy / "catalog.toml").read_text()
    catalog = load_catalog(copy)
    mine, other = catalog.model("cnn-tiny"), catalog.model("cnn-small")
    text = text.replace(mine.predictions.file, other.predictions.file)
    text = text.replace(mine.predictions.sha256, other.predictions.sha256)
    (copy / "catalog.toml").write_text(text)
    with pytest.raises(ConfigError, match="other weights"):
        load_predictions(load_catalog(copy), "cnn-tiny", "test")


def test_pickled_arrays_are_refused(copy: Path) -> None:
    catalog = load_catalog(copy)
    path = copy / "test.npz"
    np.savez_compressed(path, images=np.array([{}], dtype=object))
    text = (copy / "catalog.toml").read_text()
    text = text.replace(catalog.sets["test"].sha256, hashlib.sha256(path.read_bytes()).hexdigest())
    (copy / "catalog.toml").write_text(text)
    with pytest.raises(ConfigError, match="plain npz"):
        load_samples(load_catalog(copy), "test")


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
        load_samples(catalog, "calibraton")
    with pytest.raises(ConfigError, match="fashion-mnist"):
        shipped("image-classification/fashionmnist")
