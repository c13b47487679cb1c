"""Files that a model catalogue names; nothing is used before its hash was checked."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, TypeVar
from zipfile import BadZipFile

import msgspec
import numpy as np
import numpy.typing as npt  # resolved by msgspec at run time

from testbed.errors import ConfigError
from testbed.zoo.catalog import REGENERATE

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.zoo.catalog import Catalog

S = TypeVar("S", bound=np.generic)


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """Images uint8 (n, 28, 28), labels uint8 (n,), and rows uint16 (n,): places in the original file."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.uint16]


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
    given = catalog.sample_set(name)
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
    given = catalog.sample_set(name)
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
