"""Read a model catalogue and the files it names; nothing is used before its hash was checked.

A folder holds ``catalog.toml``, ONNX files, one ``.npz`` per sample set and ``predictions/<model>.npz``.
"""

from __future__ import annotations

import hashlib
import io
import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zipfile import BadZipFile

import msgspec
import numpy as np
import numpy.typing as npt  # resolved by msgspec at run time

from testbed.errors import ConfigError, did_you_mean
from testbed.model.lab import parse_options

if TYPE_CHECKING:
    from collections.abc import Iterable


T = TypeVar("T")
S = TypeVar("S", bound=np.generic)

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
        return _named(self, name, {m.name: m for m in self.models}, "models")


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """Images uint8 (n, 28, 28), labels uint8 (n,), and rows uint16 (n,): places in the original file."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.uint16]


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


def verify(path: Path, sha256: str) -> bytes:
    """Contents of a file whose SHA-256 is ``sha256`` (lower-case hexadecimal).

    The bytes come back so that what is used is what was checked.

    Raises:
        ConfigError: the file cannot be read, or it is another one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path, cure=REGENERATE) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        message = f"has SHA-256 {found[:12]}…, the catalogue says {sha256[:12]}…"
        raise ConfigError(message, file=path, key="sha256", cure=REGENERATE)
    return content


def load_graphs(catalog: Catalog, model: str) -> tuple[bytes, ...]:
    """ONNX files of a model, in the order they run, each checked against its hash.

    Raises:
        ConfigError: the model is not known, or a file is missing or another one.
    """
    return tuple(verify(catalog.directory / part.file, part.sha256) for part in catalog.model(model).parts)


def load_samples(catalog: Catalog, name: str) -> Samples:
    """Images and labels of the set ``name`` (``test`` or ``calibration``).

    Raises:
        ConfigError: the set is not known, its file is missing or another one, or an array has another shape
            or type than the catalogue says.
    """
    given = _named(catalog, name, catalog.sets, "sets")
    path = catalog.directory / given.file
    arrays = _read_npz(path, given.sha256)
    count, side = given.samples, catalog.input.shape[1:]
    return Samples(
        images=_array(arrays, "images", np.uint8, (count, *side), path),
        labels=_array(arrays, "labels", np.uint8, (count,), path),
        rows=_array(arrays, "rows", np.uint16, (count,), path),
    )


def load_predictions(catalog: Catalog, model: str, name: str) -> dict[str, npt.NDArray[np.float32]]:
    """Stored probabilities of every exit of ``model`` on the set ``name``, by exit, float32 (n, classes).

    They were rounded to steps of 1/2048, so a row sums to one only within 0.003, and the largest entry is
    the one that the model itself gave.

    Raises:
        ConfigError: the model or set is not known, the file is missing or another one, or it was made with
            other weights than the catalogue names.
    """
    chosen = catalog.model(model)
    given = _named(catalog, name, catalog.sets, "sets")
    path = catalog.directory / chosen.predictions.file
    arrays = _read_npz(path, chosen.predictions.sha256)
    made_with = _array(arrays, "model_sha256", np.uint8, (32,), path).tobytes().hex()
    if made_with != chosen.sha256:
        raise ConfigError(
            f"belongs to other weights than {model}", file=path, key="model_sha256", cure=REGENERATE
        )
    shape = (given.samples, len(catalog.classes))
    return {
        e.name: _array(arrays, f"{name}_{e.name}", np.float16, shape, path).astype(np.float32)
        for e in chosen.exits
    }


def _named(catalog: Catalog, name: str, known: dict[str, T], key: str) -> T:
    if name not in known:
        file = catalog.directory / CATALOG
        raise ConfigError(f"{name!r} is not there", file=file, key=key, cure=did_you_mean(name, known))
    return known[name]


def _read_npz(path: Path, sha256: str) -> dict[str, npt.NDArray[np.generic]]:
    content = verify(path, sha256)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, BadZipFile) as error:
        raise ConfigError(f"is not a plain npz file: {error}", file=path, cure=REGENERATE) from error


def _array(
    arrays: dict[str, npt.NDArray[np.generic]], key: str, kind: type[S], shape: tuple[int, ...], path: Path
) -> npt.NDArray[S]:
    array = arrays.get(key)
    if array is None or array.dtype != kind or array.shape != shape:
        seen = "nothing" if array is None else f"{array.dtype} {array.shape}"
        message = f"expected {np.dtype(kind)} {shape}, found {seen}"
        raise ConfigError(message, file=path, key=key, cure=REGENERATE)
    return array.astype(kind, copy=False)


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
