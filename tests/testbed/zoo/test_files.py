"""The shipped files are what their catalogue says, and one that was tampered with is refused."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
import pytest

from testbed.errors import ConfigError
from testbed.zoo.catalog import Catalog, load_catalog, shipped
from testbed.zoo.files import load_graphs, load_predictions, load_samples, verify

if TYPE_CHECKING:
    from pathlib import Path

TASK = "image-classification/fashion-mnist"
SETS = ("test", "calibration")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(shipped(TASK))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(shipped(TASK), tmp_path / "zoo")


def test_every_file_has_its_hash_and_size(catalog: Catalog) -> None:
    for model in catalog.models:
        graphs = load_graphs(catalog, model.name)
        assert [len(g) for g in graphs] == [p.size_bytes for p in model.parts]
        for name in SETS:
            assert set(load_predictions(catalog, model.name, name)) == {e.name for e in model.exits}


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
