"""Labelled images and the models that answer them: those of a shipped catalogue, or a folder of exported ones.

A folder holds ``ladder.toml``, ONNX files and ``images/`` with ``labels.csv`` (columns ``file``, ``class_index``), as
``experiments/zoo/efficientnet/export.py`` writes it::

    format = 1
    classes = 1000
    [[models]]
    name = "lite0-128"
    file = "lite0-128.onnx"      # uint8 images in, softmax probabilities float32 (N, classes) out
    sha256 = "..."
    input = "image"
    shape = [3, 128, 128]        # without the batch axis
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from testbed.campaign.data import CALIBRATION, TEST, TaskData
from testbed.coordinator.labfile import read_toml
from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import parse_options
from testbed.wire.picture import fit
from testbed.zoo.files import load_graphs, load_samples, verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


LADDER_FILE = "ladder.toml"
EXPORT = "Build the folder with experiments/zoo/efficientnet/export.py, as the README beside it says"
_BATCH = 32


class Rung(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of the folder; ``shape`` is without the batch axis."""

    name: str
    file: str
    sha256: str
    input: str
    shape: tuple[int, ...]


class Ladder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``ladder.toml``."""

    format: int
    classes: int
    models: tuple[Rung, ...]


class Model:
    """Answers pictures of any size.

    Attributes:
        sha256: of its file.
    """

    def __init__(self, graph: bytes, name: str, shape: tuple[int, ...], sha256: str) -> None:
        """Load the graph; ``name`` is that of its input."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._name = name
        self._shape = shape
        self.sha256 = sha256

    def scores(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Probabilities, shape (n, classes), of pictures (h, w) or (h, w, 3).

        Raises:
            RemoteWireError: their channels are not the model's.
        """
        found: list[Any] = []
        for at in range(0, len(pictures), _BATCH):
            batch = np.stack([fit(picture, self._shape) for picture in pictures[at : at + _BATCH]])
            found.append(self._session.run(None, {self._name: batch})[0])
        return np.concatenate(found)


class PictureSet(Struct, frozen=True):
    """Images uint8 (h, w) or (h, w, 3) with labels int64 (n,), and models by name."""

    pictures: list[NDArray[np.uint8]]
    labels: NDArray[np.int64]
    models: dict[str, Model]


def shipped_set(task: str, models: Sequence[str]) -> PictureSet:
    """Everything labelled that a shipped task's models were not trained on.

    Raises:
        ConfigError: no such task or model, or one of several graphs.
    """
    data = TaskData(task)
    samples = [load_samples(data.catalog, name) for name in (CALIBRATION, TEST)]
    loaded = {}
    for name in models:
        _known(name, [m.name for m in data.catalog.models])
        parts = data.catalog.model(name).parts
        if len(parts) > 1:
            raise ConfigError(
                f"{name!r} is made of {len(parts)} graphs", key="frontends", cure="Name another"
            )
        (graph,) = load_graphs(data.catalog, name)
        loaded[name] = Model(graph, parts[0].input, parts[0].shape, parts[0].sha256)
    return PictureSet(
        list(np.concatenate([s.images for s in samples])),
        np.concatenate([s.labels for s in samples]).astype(np.int64),
        loaded,
    )


def folder_set(folder: Path, models: Sequence[str]) -> PictureSet:
    """What lies in a folder.

    Raises:
        ConfigError: it is not there, a file is missing or another one, or a model is not in it.
    """
    file = folder / LADDER_FILE
    if not file.is_file():
        raise ConfigError("is not there", file=file, key="folder", cure=EXPORT)
    ladder = parse_options(read_toml(file)[1], Ladder, file=file, key="")
    if ladder.format != 1:
        raise ConfigError(f"format {ladder.format} is not known", file=file, key="format", cure=EXPORT)
    rungs = {rung.name: rung for rung in ladder.models}
    loaded = {}
    for name in models:
        _known(name, list(rungs))
        rung = rungs[name]
        loaded[name] = Model(verify(folder / rung.file, rung.sha256), rung.input, rung.shape, rung.sha256)
    table = folder / "images" / "labels.csv"
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            rows = [(row["file"], int(row["class_index"])) for row in csv.DictReader(lines)]
        pictures = [_read(folder / "images" / name) for name, _ in rows]
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", file=table, cure=EXPORT) from error
    labels = np.array([label for _, label in rows], np.int64)
    if not len(labels) or not 0 <= labels.min() <= labels.max() < ladder.classes:
        raise ConfigError("has no labels of the models' classes", file=table, cure=EXPORT)
    return PictureSet(pictures, labels, loaded)


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def _known(name: str, models: Sequence[str]) -> None:
    if name not in models:
        raise ConfigError(f"no model {name!r}", key="frontends", cure=did_you_mean(name, models))
