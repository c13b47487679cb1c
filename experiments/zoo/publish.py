"""Turn checkpoints into the shipped zoo: ONNX files, sample sets, stored predictions, catalogue.

    python experiments/zoo/publish.py [--int8 NAME ...] [--latency]

Takes what ``train.py`` left; gives the folder ``testbed/zoo/fashion-mnist``; does not train. The test and
calibration images are looked at here for the first time.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import torch
from data import CLASSES, SPLIT_SEED, Split, fingerprint, shipped_split, training_split
from entry import LOG, Entry, Pair, answer, digest, model_toml, rounded, steps_toml, variant_pairs, write_npz
from networks import NETWORKS, Network
from onnx_graph import IR_VERSION, OPSET, write_parts
from quantise import compare_latency, quantise
from train import CHECKPOINTS

ZOO = Path(__file__).parents[2] / "testbed" / "zoo" / "fashion-mnist"
STEPS: tuple[Pair, ...] = (
    (("cnn-tiny", 0), ("cnn-small", 0)),
    (("cnn-small", 0), ("resnet8", 0)),
    (("resnet8-ee", 0), ("resnet8-ee", 1)),
    (("resnet8-ee", 1), ("resnet8-ee", 2)),
    (("resnet8-ee", 2), ("resnet8", 0)),
)


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
            forms.append((f"{name}-int8", "int8", name, quantise([p.model for p in parts], calibrating)))
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
        lines += model_toml(entry, sets, path.read_bytes())
    pairs = [*STEPS, *(pair for e in made if e.variant_of for pair in variant_pairs(e))]
    lines += steps_toml(pairs, made, sets["test"].labels)
    (target / "catalog.toml").write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    """Publish what the checkpoints hold and say what it reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS)
    parser.add_argument("--target", type=Path, default=ZOO)
    parser.add_argument("--int8", nargs="*", default=[], choices=list(NETWORKS))
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
