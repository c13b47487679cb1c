"""The documentation's script makes a catalogue that the testbed takes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from testbed.campaign.data import TaskData
from testbed.zoo.catalog import load_catalog, shipped
from testbed.zoo.files import load_predictions

TASK = "image-classification/fashion-mnist"


@pytest.fixture(scope="module")
def made(tmp_path_factory, tree):
    """A catalogue of two shipped models and a few shipped images, made as a user makes his."""
    folder = tmp_path_factory.mktemp("catalogue")
    zoo = shipped(TASK)
    for name in ("test", "calibration"):
        with np.load(zoo / f"{name}.npz") as archive:
            np.savez(
                folder / f"my-{name}.npz", images=archive["images"][:150], labels=archive["labels"][:150]
            )
    parts = ",".join(str(zoo / f"resnet8-ee.part{i}.onnx") for i in range(3))
    script = [sys.executable, str(tree / "docs/examples/make_catalog.py"), str(folder / "zoo")]
    sets = ["--test", str(folder / "my-test.npz"), "--calibration", str(folder / "my-calibration.npz")]
    models = [f"tiny={zoo / 'cnn-tiny.onnx'}", f"exits={parts}"]
    done = subprocess.run(
        [*script, "--task", "mine", *sets, *models], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return folder / "zoo"


def test_the_testbed_reads_it(made):
    data = TaskData("mine", made)
    assert data.images.shape == (150, 1, 28, 28)
    assert set(data.models) == {"tiny", "exits"}
    assert data.models["exits"].exits == 3


def test_its_stored_answers_are_those_of_the_shipped_catalogue(made):
    mine, ours = load_catalog(made), load_catalog(shipped(TASK))
    for (name, rows), other in zip(
        load_predictions(mine, "exits", "test").items(),
        load_predictions(ours, "resnet8-ee", "test").values(),
        strict=True,
    ):
        np.testing.assert_allclose(rows, other[:150], atol=2e-3, err_msg=name)
