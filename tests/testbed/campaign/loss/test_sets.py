import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from testbed.campaign.loss.sets import folder_set, shipped_set
from testbed.errors import ConfigError
from testbed.zoo.catalog import load_catalog, shipped
from testbed.zoo.files import load_predictions, load_samples

TASK = "image-classification/fashion-mnist"
onnx = pytest.importorskip("onnx")


def graph() -> bytes:
    """Three classes: the mean of each channel, normalised."""
    make, kind = onnx.helper.make_node, onnx.TensorProto
    nodes = [
        make("Cast", ["image"], ["float"], to=kind.FLOAT),
        make("GlobalAveragePool", ["float"], ["means"]),
        make("Flatten", ["means"], ["flat"]),
        make("Softmax", ["flat"], ["probabilities"], axis=1),
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            "means",
            [onnx.helper.make_tensor_value_info("image", kind.UINT8, ["N", 3, 16, 16])],
            [onnx.helper.make_tensor_value_info("probabilities", kind.FLOAT, ["N", 3])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return model.SerializeToString()


def write_folder(folder: Path, classes: int = 3) -> None:
    """A folder as the export script leaves it: red, green and blue pictures of 40x40."""
    (folder / "images").mkdir(parents=True)
    content = graph()
    (folder / "means.onnx").write_bytes(content)
    (folder / "ladder.toml").write_text(
        f'format = 1\nclasses = {classes}\n[[models]]\nname = "means"\nfile = "means.onnx"\n'
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"\ninput = "image"\nshape = [3, 16, 16]\n'
    )
    rows = ["file,class_index,name"]
    for label in range(3):
        pixels = np.full((40, 40, 3), 60, np.uint8)
        pixels[:, :, label] = 120
        Image.fromarray(pixels).save(folder / "images" / f"{label}.jpg", quality=95)
        rows.append(f"{label}.jpg,{label},colour")
    (folder / "images" / "labels.csv").write_text("\n".join(rows) + "\n")


def test_a_folder_gives_pictures_labels_and_models_that_scale(tmp_path) -> None:
    write_folder(tmp_path)
    found = folder_set(tmp_path, ["means"])
    assert found.labels.tolist() == [0, 1, 2]
    assert found.pictures[0].shape == (40, 40, 3)
    scores = found.models["means"].scores(found.pictures)
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]


def test_shipped_models_answer_as_their_stored_predictions_say() -> None:
    found = shipped_set(TASK, ["cnn-tiny"])
    catalog = load_catalog(shipped(TASK))
    assert len(found.labels) == len(found.pictures) == 4000
    assert (found.pictures[0] == load_samples(catalog, "calibration").images[0]).all()
    (stored,) = load_predictions(catalog, "cnn-tiny", "calibration").values()
    assert (
        found.models["cnn-tiny"].scores(found.pictures[:50]).argmax(axis=1) == stored[:50].argmax(axis=1)
    ).all()


def test_wrong_models_are_named(tmp_path) -> None:
    write_folder(tmp_path)
    with pytest.raises(ConfigError, match="means"):
        folder_set(tmp_path, ["mean"])
    with pytest.raises(ConfigError, match="cnn-tiny"):
        shipped_set(TASK, ["cnn-tny"])
    with pytest.raises(ConfigError, match="3 graphs"):
        shipped_set(TASK, ["resnet8-ee"])


def test_a_folder_that_is_not_there_says_how_it_is_built(tmp_path) -> None:
    with pytest.raises(ConfigError, match="export.py"):
        folder_set(tmp_path / "none", ["means"])


@pytest.mark.parametrize("damage", ["model", "image", "labels", "classes", "format"])
def test_damage_is_told_with_the_file(tmp_path, damage) -> None:
    write_folder(tmp_path, classes=2 if damage == "classes" else 3)
    if damage == "model":
        (tmp_path / "means.onnx").write_bytes(b"other")
    elif damage == "image":
        (tmp_path / "images" / "1.jpg").write_bytes(b"no picture")
    elif damage == "labels":
        (tmp_path / "images" / "labels.csv").write_text("file,name\n0.jpg,x\n")
    elif damage == "format":
        file = tmp_path / "ladder.toml"
        file.write_text(file.read_text().replace("format = 1", "format = 2"))
    with pytest.raises(ConfigError) as caught:
        folder_set(tmp_path, ["means"])
    assert str(tmp_path) in str(caught.value)
