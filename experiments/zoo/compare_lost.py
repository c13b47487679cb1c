"""A network that was trained with lost packets against the shipped one that was not, on pictures that lost some.

    .venv/bin/python experiments/zoo/compare_lost.py cnn-small /tmp/testbed-zoo/cnn-small-lossy.onnx

Same images, packets and draws as `experiments/02-lossy-edge`; runs in the project's own environment.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from testbed.campaign.loss.pictures import arrived, losses, send, whole
from testbed.campaign.loss.sets import Model, shipped_set
from testbed.campaign.loss.spec import read_loss_study

STUDY = Path(__file__).parents[1] / "02-lossy-edge"


def main() -> None:
    """Print accuracies and exact McNemar tests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="of the shipped network")
    parser.add_argument("file", type=Path, help="ONNX file of the other")
    chosen = parser.parse_args()
    study = read_loss_study(STUDY)
    given = shipped_set(study.task, [chosen.name])
    models = (given.models[chosen.name], Model(chosen.file.read_bytes(), "image", (1, 28, 28), ""))
    picked = sorted(np.random.default_rng([study.seed, 3]).permutation(len(given.labels))[: study.samples])
    labels = given.labels[picked]
    sent = [send(given.pictures[index], study.packets) for index in picked]

    def show(what: str, pictures: list[np.ndarray]) -> None:
        a, b = (model.scores(pictures).argmax(axis=1) == labels for model in models)
        only = int((a & ~b).sum()), int((b & ~a).sum())
        p = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
        print(f"{what}: {a.mean():.4f} without, {b.mean():.4f} with; only one right {only}, p = {p:.2g}")

    show("nothing lost", [whole(one) for one in sent])
    for pattern in study.patterns:
        for loss in study.losses:
            gone = losses(study, sent, pattern, loss)
            for fill in ("grey", study.fill):
                pictures = [
                    arrived(one, numbers, (fill,), ())[fill] for one, numbers in zip(sent, gone, strict=True)
                ]
                show(f"{loss:.0%} {pattern}, {fill}", pictures)


if __name__ == "__main__":
    main()
