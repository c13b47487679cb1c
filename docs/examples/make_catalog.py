"""Writes a catalogue of your own models and images; docs/your-own-model.md says when.

    python make_catalog.py FOLDER --task NAME --test T.npz --calibration C.npz NAME=GRAPH.onnx[,GRAPH.onnx...] ...

The npz files hold ``images`` uint8 (n, height, width) and ``labels`` (n,). Several graphs are the parts of a network
with early exits, in the order they run: each gives softmax probabilities first and, but for the last, features last.
"""

import argparse
import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import onnxruntime

BATCH = 100


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def wilson(correct, samples, z=1.959964):
    """95 % interval of a fraction. Source: Wilson (1927), as in every textbook on proportions."""
    p, share = correct / samples, z * z / samples
    middle = (p + share / 2) / (1 + share)
    half = z * math.sqrt(p * (1 - p) / samples + share / (4 * samples)) / (1 + share)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def answers(sessions, images):
    """Probabilities of every exit, float16 (n, classes) as the catalogue stores them."""
    exits = [[] for _ in sessions]
    for start in range(0, len(images), BATCH):
        flow = images[start : start + BATCH]
        for exit_, session in zip(exits, sessions, strict=True):
            outputs = session.run(None, {session.get_inputs()[0].name: flow})
            exit_.append(outputs[0])
            flow = outputs[-1]
    return [np.concatenate(rows).astype(np.float16) for rows in exits]


def toml(table):
    """One line of TOML: keys are plain, values JSON, which TOML reads the same for what is used here."""
    parts = (f"{k} = {toml(v) if isinstance(v, dict) else json.dumps(v)}" for k, v in table.items())
    return "{ " + ", ".join(parts) + " }"


def score(probabilities, labels):
    correct = int((probabilities.argmax(axis=1) == labels).sum())
    low, high = wilson(correct, len(labels))
    accuracy = round(correct / len(labels), 6)
    return {"correct": correct, "samples": len(labels), "accuracy": accuracy, "low": low, "high": high}


def write_model(folder, name, graphs, sets):
    """Copy the graphs, run them on both sets, store the answers; the model's lines for the catalogue."""
    sessions = [onnxruntime.InferenceSession(g, providers=["CPUExecutionProvider"]) for g in graphs]
    parts = []
    for index, (graph, session) in enumerate(zip(graphs, sessions, strict=True)):
        kept = folder / (f"{name}.onnx" if len(graphs) == 1 else f"{name}.part{index}.onnx")
        shutil.copy(graph, kept)
        taken = session.get_inputs()[0]
        parts.append(
            {
                "file": kept.name,
                "sha256": sha256(kept),
                "size_bytes": kept.stat().st_size,
                "input": taken.name,
                "dtype": taken.type.removeprefix("tensor(").rstrip(")").replace("float", "float32"),
                "shape": [int(side) for side in taken.shape[1:]],
                "outputs": [output.name for output in session.get_outputs()],
            }
        )
    hashes = [part["sha256"] for part in parts]
    identity = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    names = [part["outputs"][0] for part in parts]
    told = {key: answers(sessions, images[:, None]) for key, (images, _) in sets.items()}
    stored = {f"{key}_{n}": rows for key, exits in told.items() for n, rows in zip(names, exits, strict=True)}
    file = folder / "predictions" / f"{name}.npz"
    file.parent.mkdir(exist_ok=True)
    made_with = np.frombuffer(bytes.fromhex(identity), dtype=np.uint8)
    np.savez_compressed(file, model_sha256=made_with, **stored)
    # 0 stands for what this script does not count.
    facts = {"name": name, "sha256": identity, "precision": "float32", "parameters": 0, "macs": 0}
    facts |= {"trained_epochs": 0, "kept_epoch": 0}
    exits = []
    for index, exit_name in enumerate(names):
        scores = {
            key: score(told[key][index].astype(np.float32), labels) for key, (_, labels) in sets.items()
        }
        exits.append({"name": exit_name, "part": index, "macs": 0, **scores})
    lines = ["", "[[models]]", *(f"{k} = {json.dumps(v)}" for k, v in facts.items())]
    lines.append(f"predictions = {toml({'file': f'predictions/{name}.npz', 'sha256': sha256(file)})}")
    lines += ["parts = [", *(f"  {toml(part)}," for part in parts), "]"]
    lines += ["exits = [", *(f"  {toml(one)}," for one in exits), "]"]
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+", metavar="NAME=GRAPH.onnx[,...]")
    parser.add_argument("--task", required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--classes", default="", help="names, comma separated (default: 0, 1, ...)")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    sets, lines = {}, []
    for key in ("test", "calibration"):
        with np.load(getattr(given, key), allow_pickle=False) as archive:
            images, labels = archive["images"].astype(np.uint8), archive["labels"].astype(np.uint8)
        rows = np.arange(len(labels), dtype=np.uint16)
        kept = given.folder / f"{key}.npz"
        np.savez_compressed(kept, images=images, labels=labels, rows=rows)
        sets[key] = (images, labels)
        lines += ["", f"[sets.{key}]", f'file = "{key}.npz"', f'sha256 = "{sha256(kept)}"']
        lines.append(f"samples = {len(labels)}")
    for model in given.models:
        name, _, graphs = model.partition("=")
        lines += write_model(given.folder, name, [Path(graph) for graph in graphs.split(",")], sets)
    images, labels = sets["test"]
    classes = given.classes.split(",") if given.classes else [str(i) for i in range(int(labels.max()) + 1)]
    head = ["format = 1", f"task = {json.dumps(given.task)}", f"classes = {json.dumps(classes)}"]
    # 0 and {} again: not known here, and not used.
    head += ["split_seed = 0", "opset = 0", "ir_version = 0", "steps = []", "source_files = {}"]
    shape = {"name": "image", "dtype": "uint8", "shape": [1, *images.shape[1:]]}
    head.append(f"input = {toml(shape)}")
    (given.folder / "catalog.toml").write_text("\n".join(head + lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
