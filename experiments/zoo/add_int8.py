"""Add the 8-bit form of a shipped network to the shipped folder, from its float graphs: no training library needed.

    python experiments/zoo/add_int8.py resnet8-ee [--latency]

Takes the folder and the training images (Debian package dataset-fashion-mnist); gives ONNX files, stored
predictions and the same catalogue lines as ``publish.py --int8`` would write.
"""

from __future__ import annotations

import argparse
import logging
import tomllib
from pathlib import Path

import numpy as np
import onnx
from data import Split, shipped_split, training_split
from entry import LOG, Entry, Part, answer, digest, model_toml, rounded, steps_toml, variant_pairs, write_npz
from quantise import compare_latency, quantise

ZOO = Path(__file__).parents[2] / "testbed" / "zoo" / "fashion-mnist"


def shipped_entry(folder: Path, name: str, sets: dict[str, Split]) -> Entry:
    """A model of the folder as ``publish.py`` had it."""
    catalog = tomllib.loads((folder / "catalog.toml").read_text("utf-8"))
    model = next(m for m in catalog["models"] if m["name"] == name)
    files = [(folder / part["file"]).read_bytes() for part in model["parts"]]
    for file, part in zip(files, model["parts"], strict=True):
        if digest(file) != part["sha256"]:
            raise SystemExit(f"{part['file']} is not the file that the catalogue names")
    cumulative = [0, *(one["macs"] for one in model["exits"])]
    parts = [
        Part(
            model=onnx.load_from_string(file),
            input=part["input"],
            dtype=part["dtype"],
            shape=tuple(part["shape"]),
            outputs=tuple(part["outputs"]),
            macs=cumulative[k + 1] - cumulative[k],
            parameters=model["parameters"] if k == 0 else 0,  # only their sum is written
        )
        for k, (file, part) in enumerate(zip(files, model["parts"], strict=True))
    ]
    return Entry(
        name=name,
        precision=model["precision"],
        variant_of="",
        parts=parts,
        files=files,
        note={"epochs": model["trained_epochs"], "epoch": model["kept_epoch"]},
        answers={key: answer(files, split.images) for key, split in sets.items()},
    )


def quantised_entry(base: Entry, sets: dict[str, Split]) -> Entry:
    """Its 8-bit form, ranges from 1,000 training images."""
    files = quantise([part.model for part in base.parts], training_split()[0].images[:1000, None])
    return Entry(
        name=f"{base.name}-int8",
        precision="int8",
        variant_of=base.name,
        parts=base.parts,
        files=files,
        note=base.note,
        answers={key: answer(files, split.images) for key, split in sets.items()},
    )


def add(folder: Path, base: Entry, made: Entry, sets: dict[str, Split]) -> None:
    """Write the files, then the catalogue: the model behind its float form, its steps at the end."""
    for name, file in zip(made.file_names, made.files, strict=True):
        (folder / name).write_bytes(file)
    stored = {
        f"{key}_{part.outputs[0]}": rounded(probabilities)
        for key, exits in made.answers.items()
        for part, probabilities in zip(made.parts, exits, strict=True)
    }
    predictions = folder / "predictions" / f"{made.name}.npz"
    write_npz(predictions, {"model_sha256": np.frombuffer(bytes.fromhex(made.sha256), np.uint8), **stored})
    text = (folder / "catalog.toml").read_text("utf-8").rstrip("\n") + "\n\n"
    start = text.index(f'[[models]]\nname = "{base.name}"\n')
    ends = [text.find(head, start + 1) for head in ("[[models]]", "[[steps]]")]
    end = min(place for place in ends if place > 0)
    lines = "\n".join(model_toml(made, sets, predictions.read_bytes())) + "\n"
    steps = "\n".join(steps_toml(variant_pairs(made), [base, made], sets["test"].labels))
    (folder / "catalog.toml").write_text(text[:end] + lines + text[end:] + steps, encoding="utf-8")


def main() -> None:
    """Quantise, add, and say what was reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a float model of the folder that has no 8-bit form yet")
    parser.add_argument("--target", type=Path, default=ZOO)
    parser.add_argument("--latency", action="store_true", help="time both forms, interleaved, one thread")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("root").setLevel(logging.WARNING)
    LOG.setLevel(logging.INFO)
    if f'"{chosen.model}-int8"' in (chosen.target / "catalog.toml").read_text("utf-8"):
        raise SystemExit(f"{chosen.model}-int8 is there already")
    sets = dict(zip(("test", "calibration"), shipped_split(), strict=True))
    base = shipped_entry(chosen.target, chosen.model, sets)
    made = quantised_entry(base, sets)
    add(chosen.target, base, made, sets)
    for index, part in enumerate(made.parts):
        hits = [(made.answers[k][index].argmax(1) == s.labels).mean() for k, s in sets.items()]
        LOG.info("%-16s %-13s test %.4f  calibration %.4f", made.name, part.outputs[0], *hits)
    LOG.info("%d bytes in %d files", sum(map(len, made.files)), len(made.files))
    if chosen.latency:
        for batch in (1, 16):
            spent = compare_latency(
                {e.name: e.files for e in (base, made)}, sets["test"].images[:batch, None]
            )
            middles = {name: float(np.median(times)) / 1000 for name, times in spent.items()}
            LOG.info("batch %d, one thread, medians: %s us", batch, middles)


if __name__ == "__main__":
    main()
