"""A model ready to be shipped: its graphs as bytes, what it answered, and the lines that the catalogue gets of it.

Takes graphs and images; gives files, figures and TOML; knows neither training nor where the folder is.
"""

from __future__ import annotations

import hashlib
import logging
import math
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from quantise import session

if TYPE_CHECKING:
    from pathlib import Path

    from data import Split
    from onnx import ModelProto

LOG = logging.getLogger("zoo.publish")
STEPS_PER_UNIT = 2048
Pair = tuple[tuple[str, int], tuple[str, int]]  # worse and better: model, number of its exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One graph of a network, with what it costs by itself.

    ``macs`` counts multiply-accumulates of convolutions and classifiers for one image, ``parameters`` the
    weights and biases after folding. ``shape`` is the input's, without the batch axis.
    """

    model: ModelProto
    input: str
    dtype: str
    shape: tuple[int, int, int]
    outputs: tuple[str, ...]
    macs: int
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model ready to be written: its graphs as bytes and what it answered on both sets.

    ``answers[set][exit]`` is float32 (n, 10).
    """

    name: str
    precision: str
    variant_of: str
    parts: list[Part]
    files: list[bytes]
    note: dict[str, object]
    answers: dict[str, list[np.ndarray]]

    @property
    def file_names(self) -> list[str]:
        """``name.onnx``, or one ``name.partK.onnx`` for each part."""
        if len(self.files) == 1:
            return [f"{self.name}.onnx"]
        return [f"{self.name}.part{k}.onnx" for k in range(len(self.files))]

    @property
    def sha256(self) -> str:
        """Hash of the file, or of the parts' hashes in hexadecimal, one after the other."""
        hashes = [digest(f) for f in self.files]
        return hashes[0] if len(hashes) == 1 else digest("".join(hashes).encode())


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def wilson(correct: int, samples: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a proportion. Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209."""
    share, spread = correct / samples, z * z / samples
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / samples + spread / (4 * samples))
    return middle - half, middle + half


def mcnemar(worse: np.ndarray, better: np.ndarray) -> tuple[int, int, float]:
    """Exact two-sided McNemar test on paired hits, bool (n,): both discordant counts and p."""
    only_worse, only_better = int((worse & ~better).sum()), int((better & ~worse).sum())
    total, least = only_worse + only_better, min(only_worse, only_better)
    tail = sum(math.comb(total, k) for k in range(least + 1))
    return only_worse, only_better, min(1.0, 2 * tail / 2**total)


def answer(files: list[bytes], images: np.ndarray) -> list[np.ndarray]:
    """Probabilities float32 (n, 10) of every exit for images uint8 (n, 28, 28)."""
    x, exits = images[:, None], []
    for file in files:
        part = session(file)
        probabilities, *features = part.run(None, {part.get_inputs()[0].name: x})
        exits.append(probabilities)
        x = features[0] if features else x
    return exits


def rounded(probabilities: np.ndarray) -> np.ndarray:
    """Round to steps of 1/2048, float16's own step below one; a true winner that ties gets one step more."""
    stored = np.round(probabilities.astype(np.float64) * STEPS_PER_UNIT) / STEPS_PER_UNIT
    rows, wanted = np.arange(len(stored)), probabilities.argmax(1)
    lost = stored.argmax(1) != wanted
    stored[rows[lost], wanted[lost]] += 1 / STEPS_PER_UNIT
    return stored.astype(np.float16)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Same file as ``np.savez_compressed``, at the highest deflate level and byte for byte repeatable."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def _accuracy(probabilities: np.ndarray, labels: np.ndarray) -> str:
    hits = int((probabilities.argmax(1) == labels).sum())
    low, high = wilson(hits, len(labels))
    return (
        f"{{ correct = {hits}, samples = {len(labels)}, accuracy = {hits / len(labels):.4f}, "
        f"low = {low:.4f}, high = {high:.4f} }}"
    )


def model_toml(entry: Entry, sets: dict[str, Split], predictions: bytes) -> list[str]:
    """Catalogue lines of one model."""
    note, parts = entry.note, entry.parts
    lines = [
        "[[models]]",
        f'name = "{entry.name}"',
        f'sha256 = "{entry.sha256}"',
        f'precision = "{entry.precision}"',
        *([f'variant_of = "{entry.variant_of}"'] if entry.variant_of else []),
        f"parameters = {sum(p.parameters for p in parts)}",
        f"macs = {sum(p.macs for p in parts)}",
        f"trained_epochs = {note['epochs']}",
        f"kept_epoch = {note['epoch']}",
        f'predictions = {{ file = "predictions/{entry.name}.npz", sha256 = "{digest(predictions)}" }}',
        "parts = [",
    ]
    for name, file, part in zip(entry.file_names, entry.files, parts, strict=True):
        outputs = ", ".join(f'"{o}"' for o in part.outputs)
        lines.append(
            f'  {{ file = "{name}", sha256 = "{digest(file)}", size_bytes = {len(file)}, '
            f'input = "{part.input}", dtype = "{part.dtype}", shape = {list(part.shape)}, '
            f"outputs = [{outputs}] }},"
        )
    lines.append("]")
    for index, part in enumerate(parts):
        lines += [
            "[[models.exits]]",
            f'name = "{part.outputs[0]}"',
            f"part = {index}",
            f"macs = {sum(p.macs for p in parts[: index + 1])}",
            f"validation_accuracy = {note['validation'][index]:.4f}" if not entry.variant_of else "",
            *(f"{key} = {_accuracy(entry.answers[key][index], split.labels)}" for key, split in sets.items()),
        ]
    return [*(line for line in lines if line), ""]


def steps_toml(pairs: list[Pair], made: list[Entry], labels: np.ndarray) -> list[str]:
    """Catalogue lines of two exits each, compared on the same test images."""
    by_name = {e.name: e for e in made}
    lines = []
    for pair in pairs:
        hits = [by_name[name].answers["test"][index].argmax(1) == labels for name, index in pair]
        only_worse, only_better, p = mcnemar(*hits)
        lines.append("[[steps]]")
        for role, (name, index) in zip(("worse", "better"), pair, strict=True):
            lines.append(f'{role} = {{ model = "{name}", exit = "{by_name[name].parts[index].outputs[0]}" }}')
        lines += [
            f"only_worse_right = {only_worse}",
            f"only_better_right = {only_better}",
            f"p_value = {p:.3g}",
            "",
        ]
        LOG.info("%s -> %s: %d against %d, p = %.3g", *pair, only_worse, only_better, p)
    return lines


def variant_pairs(entry: Entry) -> list[Pair]:
    """Every exit of a quantised form against the same one of what it was made from."""
    return [((entry.name, k), (entry.variant_of, k)) for k in range(len(entry.parts))]
