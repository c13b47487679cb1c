"""On a few dozen images of the shipped set: 28 pixels and 16 segments are the small set that this can run on."""

from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from testbed.campaign.data import TaskData
from testbed.campaign.loss.calibration import Way, degrade, lossy_scores, way_of
from testbed.coordinator.labfile import read_lab
from testbed.errors import ConfigError
from testbed.model.datagrams import LossyOptions
from testbed.policy.confidence import calibrate
from testbed.policy.thresholds import merge

WAY = Way.of(LossyOptions(units=1, packet_bytes=192, fill="nearest"))
LAB = Path(__file__).parents[4] / "experiments/labs/virtual.toml"


@pytest.fixture(scope="module")
def data():
    return TaskData("image-classification/fashion-mnist")


def test_an_image_loses_as_much_as_it_may_and_the_same_for_the_same_seed(data):
    images = data.calibration_images()[:40]
    seen, shares = degrade(images, 0.25, WAY, seed=3)
    assert (seen.shape, seen.dtype) == (images.shape, np.uint8)
    assert shares.max() <= 0.25
    assert shares.min() >= 0.125
    again, _ = degrade(images, 0.25, WAY, seed=3)
    other, _ = degrade(images, 0.25, WAY, seed=4)
    assert (again == seen).all()
    assert (other != seen).any()
    whole, none = degrade(images, 0.0, WAY)
    assert not none.any()
    assert np.abs(whole.astype(int) - images).mean() < 5


def test_rows_for_losses_stand_beside_those_without(data):
    labels = data.calibration_labels()
    backend = data.calibration_scores("resnet8")[-1]

    def rows(frontends, lost_frac):
        return calibrate(
            "images",
            labels=labels,
            frontends=frontends,
            backend="resnet8",
            backend_scores=backend,
            targets=(0.9,),
            lost_frac=lost_frac,
        )

    few = structs.replace(WAY)
    small = TaskData("image-classification/fashion-mnist")
    few_images = small.calibration_images()[:300]
    small.calibration_images = lambda: few_images
    labels, backend = labels[:300], backend[:300]
    before = {"cnn-small": [data.calibration_scores("cnn-small")[-1][:300]]}
    table = merge(
        rows(before, 0.0), *(rows(lossy_scores(small, ["cnn-small"], f, few), f) for f in (0.125, 0.5))
    )
    found = [table.find("images", 0.9, lost)[0] for lost in (0.0, 0.1, 0.3)]
    assert [row.lost_frac for row in found] == [0.0, 0.125, 0.5]
    assert found[0].p_off <= found[1].p_off < found[2].p_off
    assert table.find("images", 0.9, 0.6) == ()


def test_a_loss_that_takes_nothing_away_is_no_calibration(data):
    with pytest.raises(ConfigError, match=r"takes no packet.*a packet here is 0\.125"):
        lossy_scores(data, ["cnn-tiny"], 0.01, WAY)


def test_the_way_is_that_of_the_edge_boards(tmp_path):
    lab = read_lab(LAB)
    with pytest.raises(ConfigError, match="0 kinds of lossy tables"):
        way_of(lab)
    boards = dict(lab.boards)
    table, options = boards["jetson"]
    given = {"units": 1, "packet_bytes": 192, "fill": "nearest", "wait_ms": 20}
    boards["jetson"] = (table, {**options, "lossy": given})
    assert way_of(structs.replace(lab, boards=boards)) == WAY
    boards["mcu"] = (boards["mcu"][0], {"lossy": {"units": 2}})
    with pytest.raises(ConfigError, match="2 kinds"):
        way_of(structs.replace(lab, boards=boards))
