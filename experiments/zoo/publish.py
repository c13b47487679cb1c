"""Turn checkpoints into the shipped zoo: ONNX files, sample sets, stored predictions, catalogue.

    python experiments/zoo/publish.py [--int8 NAME ...] [--latency]

Takes what ``train.py`` left; gives the folder ``testbed/zoo/fashion-mnist``; does not train. The test and
calibration images are looked at here for the first time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from data import CLASSES, SPLIT_SEED, Split, fingerprint, shipped_split, training_split
from networks import NETWORKS, Network
from onnx_graph import IR_VERSION, OPSET, Part, write_parts
from quantise import compare_latency, quantise, session
from train import CHECKPOINTS

LOG = logging.getLogger("zoo.publish")
ZOO = Path(__file__).parents[2] / "testbed" / "zoo" / "fashion-mnist"
STEPS_PER_UNIT = 2048
STEPS = (
    (("cnn-tiny", 0), ("cnn-small", 0)),
    (("cnn-small", 0), ("resnet8", 0)),
    (("resnet8-ee", 0), ("resnet8-ee", 1)),
    (("resnet8-ee", 1), ("resnet8-ee", 2)),
    (("resnet8-ee", 2), ("resnet8", 0)),
)


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


def entries(folder: Path, int8: list[str], sets: dict[str, Split]) -> list[Entry]:
    """Every network with a checkpoint, and the int8 forms asked for."""
    made: list[Entry] = []
    for name in NETWORKS:
        state = torch.load(folder / f"{name}.best.pt", weights_only=True)
        note = json.loads(state["note"])
        network = Network(name)
        network.load_state_dict(state["average"])
        parts = write_parts(network, note["mean"], note["std"])
        forms = [(name, "float32", "", [p.model.SerializeToString() for p in parts])]
        if name in int8:
            calibrating = training_split()[0].images[:1000, None]
            forms.append((f"{name}-int8", "int8", name, [quantise(parts[0].model, calibrating)]))
        for form, precision, variant_of, files in forms:
            answers = {key: answer(files, split.images) for key, split in sets.items()}
            made.append(
                Entry(
                    name=form,
                    precision=precision,
                    variant_of=variant_of,
                    parts=parts,
                    files=files,
                    note=note,
                    answers=answers,
                )
            )
    return made


def _accuracy(probabilities: np.ndarray, labels: np.ndarray) -> str:
    hits = int((probabilities.argmax(1) == labels).sum())
    low, high = wilson(hits, len(labels))
    return (
        f"{{ correct = {hits}, samples = {len(labels)}, accuracy = {hits / len(labels):.4f}, "
        f"low = {low:.4f}, high = {high:.4f} }}"
    )


def _model_toml(entry: Entry, sets: dict[str, Split], predictions: bytes) -> list[str]:
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


def _steps_toml(made: list[Entry], labels: np.ndarray) -> list[str]:
    by_name = {e.name: e for e in made}
    pairs = list(STEPS) + [((e.name, 0), (e.variant_of, 0)) for e in made if e.variant_of]
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


def publish(made: list[Entry], sets: dict[str, Split], target: Path) -> None:
    """Write every file of the folder, the catalogue last."""
    (target / "predictions").mkdir(parents=True, exist_ok=True)
    for stale in [*target.glob("*.onnx"), *target.glob("predictions/*.npz")]:
        stale.unlink()
    lines = [
        "# Written by experiments/zoo/publish.py; README.md says how. Accuracies are fractions.",
        "format = 1",
        'task = "image-classification/fashion-mnist"',
        f"classes = {json.dumps(CLASSES)}",
        f"split_seed = {SPLIT_SEED}",
        f"opset = {OPSET}",
        f"ir_version = {IR_VERSION}",
        "",
        "[input]",
        'name = "image"',
        'dtype = "uint8"',
        "shape = [1, 28, 28] # without the batch axis, which is dynamic and called N",
        "",
        "[source_files]",
        *(f'"{name}" = "{value}"' for name, value in fingerprint().items()),
        "",
    ]
    for key, split in sets.items():
        path = target / f"{key}.npz"
        arrays = {"images": split.images, "labels": split.labels, "rows": split.rows.astype(np.uint16)}
        write_npz(path, arrays)
        lines += [
            f"[sets.{key}]",
            f'file = "{path.name}"',
            f'sha256 = "{digest(path.read_bytes())}"',
            f"samples = {len(split.labels)}",
            "",
        ]
    for entry in made:
        for name, file in zip(entry.file_names, entry.files, strict=True):
            (target / name).write_bytes(file)
        path = target / "predictions" / f"{entry.name}.npz"
        stored = {
            f"{key}_{part.outputs[0]}": rounded(probabilities)
            for key, exits in entry.answers.items()
            for part, probabilities in zip(entry.parts, exits, strict=True)
        }
        write_npz(path, {"model_sha256": np.frombuffer(bytes.fromhex(entry.sha256), np.uint8), **stored})
        lines += _model_toml(entry, sets, path.read_bytes())
    lines += _steps_toml(made, sets["test"].labels)
    (target / "catalog.toml").write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    """Publish what the checkpoints hold and say what it reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS)
    parser.add_argument("--target", type=Path, default=ZOO)
    parser.add_argument(
        "--int8", nargs="*", default=[], choices=[n for n, s in NETWORKS.items() if len(s) == 1]
    )
    parser.add_argument("--latency", action="store_true", help="time every model, interleaved, one thread")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("root").setLevel(logging.WARNING)
    LOG.setLevel(logging.INFO)
    sets = dict(zip(("test", "calibration"), shipped_split(), strict=True))
    made = entries(chosen.checkpoints, chosen.int8, sets)
    publish(made, sets, chosen.target)
    for entry in made:
        for index, part in enumerate(entry.parts):
            hits = [(entry.answers[k][index].argmax(1) == s.labels).mean() for k, s in sets.items()]
            macs = sum(p.macs for p in entry.parts[: index + 1])
            row = "%-14s %-13s %9d MAC  test %.4f  calibration %.4f"
            LOG.info(row, entry.name, part.outputs[0], macs, *hits)
        parameters, size = sum(p.parameters for p in entry.parts), sum(map(len, entry.files))
        LOG.info("%-14s %d parameters, %d bytes", entry.name, parameters, size)
    LOG.info("folder: %d bytes", sum(p.stat().st_size for p in chosen.target.rglob("*") if p.is_file()))
    if chosen.latency:
        image = sets["test"].images[:1, None]
        for name, spent in compare_latency({e.name: e.files for e in made}, image).items():
            low, middle, high = np.percentile(spent, (5, 50, 95)) / 1000
            row = "%-14s one image, one thread: median %.0f us, 5..95 %% %.0f..%.0f us"
            LOG.info(row, name, middle, low, high)


if __name__ == "__main__":
    main()
