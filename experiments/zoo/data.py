"""Fashion-MNIST as the Debian package installs it, and the split this zoo lives by.

Takes the four idx files; gives arrays and seeded index lists; does not know any network.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SOURCE = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SPLIT_SEED = 20200523
VALIDATION_PER_CLASS = 500
SHIPPED_PER_CLASS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Images uint8 (n, 28, 28), labels uint8 (n,) and the rows int64 (n,) they had in the idx file."""

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def read_idx(path: Path) -> np.ndarray:
    """Read one gzip-compressed idx file of unsigned bytes.

    Raises:
        ValueError: the magic number is not that of unsigned bytes, or the length is wrong.
    Source: the idx format as described on the MNIST page: two zero bytes, type, rank, big-endian sizes.
    """
    raw = gzip.decompress(path.read_bytes())
    zero, kind, rank = struct.unpack_from(">HBB", raw)
    if zero != 0 or kind != 8:
        raise ValueError(f"{path} is not an idx file of unsigned bytes")
    shape = struct.unpack_from(f">{rank}I", raw, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _stratified(labels: np.ndarray, sizes: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """Draw disjoint sets with ``sizes`` rows of every class; what is left over is the last set."""
    rng = np.random.default_rng(seed)
    sets: list[list[np.ndarray]] = [[] for _ in range(len(sizes) + 1)]
    edges = np.cumsum(sizes)
    for label in range(len(CLASSES)):
        rows = rng.permutation(np.flatnonzero(labels == label))
        for part, chunk in zip(sets, np.split(rows, edges), strict=True):
            part.append(chunk)
    return [rng.permutation(np.concatenate(part)) for part in sets]


def _load(name: str, source: Path) -> tuple[np.ndarray, np.ndarray]:
    images = read_idx(source / f"{name}-images-idx3-ubyte.gz")
    return images, read_idx(source / f"{name}-labels-idx1-ubyte.gz")


def _take(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Split:
    return Split(images=images[rows], labels=labels[rows], rows=rows)


def training_split(source: Path = SOURCE) -> tuple[Split, Split]:
    """The 60,000 training images as 55,000 to train on and 5,000 (500 a class) for selection."""
    images, labels = _load("train", source)
    validation, train = _stratified(labels, (VALIDATION_PER_CLASS,), SPLIT_SEED)
    return _take(images, labels, train), _take(images, labels, validation)


def shipped_split(source: Path = SOURCE) -> tuple[Split, Split]:
    """Test and calibration set: disjoint, 200 a class each, drawn from the 10,000-image test file."""
    images, labels = _load("t10k", source)
    test, calibration, _ = _stratified(labels, (SHIPPED_PER_CLASS, SHIPPED_PER_CLASS), SPLIT_SEED + 1)
    return _take(images, labels, test), _take(images, labels, calibration)


def fingerprint(source: Path = SOURCE) -> dict[str, str]:
    """SHA-256 of each of the four idx files, by file name."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(source.glob("*ubyte.gz"))}
