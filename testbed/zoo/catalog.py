"""Read a model catalogue: what a folder of networks offers for one task.

A folder holds ``catalog.toml``, ONNX files, one ``.npz`` per sample set and ``predictions/<model>.npz``;
`testbed.zoo.files` reads them.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import parse_options

if TYPE_CHECKING:
    from collections.abc import Iterable


T = TypeVar("T")

ZOO = Path(__file__).parent
CATALOG = "catalog.toml"
REGENERATE = "Restore the file from the release, or write the folder again with experiments/zoo/publish.py"


class Accuracy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hits on one sample set; ``low`` and ``high`` bound the 95 % Wilson interval (fractions)."""

    correct: int
    samples: int
    accuracy: float
    low: float
    high: float


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the first graph of every model takes; ``shape`` is without the batch axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ONNX graph. Its last output is the next part's ``input``; ``shape`` is without the batch axis."""

    file: str
    sha256: str
    size_bytes: int
    input: str
    dtype: str
    shape: tuple[int, ...]
    outputs: tuple[str, ...]


class Exit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where a model answers with softmax probabilities float32 (N, classes).

    ``name`` is the output's name in graph ``part``; ``macs`` counts multiply-accumulates for one image up to
    and with this exit, earlier exits' heads included. ``validation_accuracy`` is a fraction, ``None`` for a
    quantised form, which no selection was made for.
    """

    name: str
    part: int
    macs: int
    test: Accuracy
    calibration: Accuracy
    validation_accuracy: float | None = None


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the folder and its SHA-256."""

    file: str
    sha256: str


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network: its graphs in the order they run, and its exits from cheap to dear.

    ``sha256`` identifies the model: the file's hash or, for several parts, that of their hashes joined in
    hexadecimal. ``precision`` is ``float32`` or ``int8``; ``variant_of`` names the model it was made from.
    """

    name: str
    sha256: str
    precision: str
    parameters: int
    macs: int
    parts: tuple[Part, ...]
    exits: tuple[Exit, ...]
    predictions: File
    variant_of: str | None = None
    trained_epochs: int
    kept_epoch: int


class SampleSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of images with labels."""

    file: str
    sha256: str
    samples: int


class ExitRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An exit of a model, by name."""

    model: str
    exit: str


class PairedStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two exits compared on the same test images; ``p_value`` is from the exact two-sided McNemar test."""

    worse: ExitRef
    better: ExitRef
    only_worse_right: int
    only_better_right: int
    p_value: float


class Catalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a folder offers for one task; ``directory`` is where it was read from."""

    format: int
    task: str
    classes: tuple[str, ...]
    split_seed: int
    opset: int
    ir_version: int
    input: Input
    source_files: dict[str, str]
    sets: dict[str, SampleSet]
    models: tuple[Model, ...]
    steps: tuple[PairedStep, ...]
    directory: Path

    def model(self, name: str) -> Model:
        """The model called ``name``.

        Raises:
            ConfigError: there is none.
        """
        return self._named(name, {m.name: m for m in self.models}, "models")

    def sample_set(self, name: str) -> SampleSet:
        """The set called ``name``: ``test`` or ``calibration``.

        Raises:
            ConfigError: there is none.
        """
        return self._named(name, self.sets, "sets")

    def _named(self, name: str, known: dict[str, T], key: str) -> T:
        if name not in known:
            file = self.directory / CATALOG
            raise ConfigError(f"{name!r} is not there", file=file, key=key, cure=did_you_mean(name, known))
        return known[name]


def shipped(task: str) -> Path:
    """Folder of the catalogue shipped for ``task``, e.g. ``image-classification/fashion-mnist``.

    Raises:
        ConfigError: no catalogue is shipped for that task.
    """
    known = {f"image-classification/{path.parent.name}": path.parent for path in ZOO.glob(f"*/{CATALOG}")}
    if task not in known:
        raise ConfigError(
            f"no models are shipped for task {task!r}", key="task", cure=did_you_mean(task, known)
        )
    return known[task]


def load_catalog(directory: Path) -> Catalog:
    """Read ``catalog.toml`` of a folder; the files it names are checked when they are loaded.

    Raises:
        ConfigError: the file is missing, is not TOML, lacks a key, has a key that is not known or a value
            that makes no sense.
    """
    file = directory / CATALOG
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        # A folder of somebody's own was named by them; a shipped one was there once.
        cure = REGENERATE if ZOO in file.parents else f"Name the folder that {CATALOG} lies in"
        raise ConfigError(f"cannot read the catalogue: {error.strerror}", file=file, cure=cure) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a TOML file: {error}", file=file, cure=REGENERATE) from error
    catalog = parse_options({**raw, "directory": directory}, Catalog, file=file, key="")
    _check(catalog, file)
    return catalog


def _check(catalog: Catalog, file: Path) -> None:
    """Refuse what the types let through: wrong links, sums and names that leave the folder."""

    def refuse(message: str, key: str) -> ConfigError:
        return ConfigError(message, file=file, key=key, cure=REGENERATE)

    if catalog.format != 1:
        raise refuse(f"format {catalog.format} is not known", "format")
    for name in _files(catalog):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise refuse(f"{name!r} leaves the folder", "file")
    if len({m.name for m in catalog.models}) != len(catalog.models):
        raise refuse("two models share a name", "models")
    for model in catalog.models:
        key = f"models.{model.name}"
        if [e.part for e in model.exits] != list(range(len(model.parts))):
            raise refuse("needs one exit for each part, in order", f"{key}.exits")
        if any(e.name not in model.parts[e.part].outputs for e in model.exits):
            raise refuse("an exit is not an output of its part", f"{key}.exits")
        hashes = [part.sha256 for part in model.parts]
        joined = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        if model.sha256 != joined:
            raise refuse("does not follow from its parts' hashes", f"{key}.sha256")
        for one in model.exits:
            for score in (one.test, one.calibration):
                if not math.isclose(score.accuracy, score.correct / score.samples, abs_tol=5e-5):
                    raise refuse("is not correct / samples", f"{key}.exits.{one.name}.accuracy")


def _files(catalog: Catalog) -> Iterable[str]:
    for given in catalog.sets.values():
        yield given.file
    for model in catalog.models:
        yield model.predictions.file
        yield from (part.file for part in model.parts)
