"""Channels of a lab file's boards, and what they lose."""

from pathlib import Path

import numpy as np
import pytest

from testbed.campaign.data import Data
from testbed.campaign.grid.declared import declared_lab
from testbed.campaign.loss.channels import channel_of, known_loss, network_loses
from testbed.campaign.virtual_lab import modelled_boards
from testbed.coordinator.labfile import read_lab
from testbed.coordinator.lossy_board import LossyBoard
from testbed.coordinator.modelled import Flying, LinkModel
from testbed.errors import ConfigError
from testbed.model.action import Infer, Item, Transport
from testbed.model.losses import LossOptions
from testbed.units import MS

TASK = "image-classification/fashion-mnist"
LAB = """
schema = 1
name = "lossy"
[boards.jetson]
kind = "virtual-jetson"
site = "edge"
models = ["cnn-small"]
profiles = "virtual-jetson"
lossy = { units = 1, packet_bytes = 192, most_lost = 1.0, TABLE }
[boards.jetson.network]
up = { delay_ms = 2, loss = { LOSS } }
[boards.plain]
kind = "virtual-jetson"
site = "edge"
models = ["cnn-small"]
profiles = "virtual-jetson"
network = { up = { delay_ms = 2 } }
"""
ORDERS = 400


@pytest.fixture(scope="module")
def data():
    return Data({TASK: None})


def lab(folder: Path, loss: str, table: str = 'fill = "grey"'):
    (folder / "lab.toml").write_text(LAB.replace("LOSS", loss).replace("TABLE", table))
    return read_lab(folder / "lab.toml")


def play(folder: Path, data: Data, loss: str, seed: int = 1) -> list:
    """What becomes of orders for the first test images, one every 100 ms."""
    board = modelled_boards(declared_lab(lab(folder, loss)), data, seed)["jetson"]
    assert isinstance(board, LossyBoard)
    found = []
    for sample in range(ORDERS):
        order = Infer(
            id=sample,
            board="jetson",
            model="cnn-small",
            batch=(Item(request=sample),),
            transport=Transport.LOSSY,
        )
        found.append(board.accept(order, (sample,), 784, sample * 100 * MS))
    return found


def shares(found: list) -> list[float]:
    return [e[0].items[0].lost_frac if isinstance(e[0], Flying) else e[1].lost_frac for e in found]


@pytest.mark.parametrize("loss", ["frac = 0.1", "to_bad = 0.0278, to_good = 0.25"])
def test_boards_lose_what_their_network_loses_and_the_same_for_a_seed(tmp_path, data, loss):
    one = shares(play(tmp_path, data, loss))
    assert one == shares(play(tmp_path, data, loss))
    assert one != shares(play(tmp_path, data, loss, seed=2))
    # Seven packets or so of equal shares: the margin of packets, wider where they are lost in runs of four.
    runs = 7 if "to_bad" in loss else 1
    assert np.mean(one) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / (7 * ORDERS) * runs))


def test_accuracy_falls_with_loss(tmp_path, data):
    truth = data.tasks[TASK].truth
    right = []
    for loss in ("frac = 0.0", "frac = 0.1", "frac = 0.3"):
        found = play(tmp_path, data, loss)
        labels = [e[0].items[0].label if isinstance(e[0], Flying) else -1 for e in found]
        right.append(np.mean([label == truth[sample] for sample, label in enumerate(labels)]))
    assert right[0] > right[1] > right[2]
    assert right[0] - right[2] > 0.1  # five standard errors of 400 images


def test_a_board_without_the_table_has_no_channel(tmp_path, data):
    boards = modelled_boards(declared_lab(lab(tmp_path, "frac = 0.1")), data, 1)
    assert boards["plain"].channel is None
    order = Infer(id=1, board="plain", model="cnn-small", batch=(Item(request=1),), transport=Transport.LOSSY)
    (failed,) = boards["plain"].accept(order, (1,), 784, 0)
    assert failed.error.startswith("no datagram channel")


def test_without_a_declared_network_as_much_is_lost_as_was_seen(tmp_path):
    known = lab(tmp_path, "frac = 0.1")
    assert known_loss(known, "jetson", LinkModel(loss_frac=0.3)) == LossOptions(frac=0.1)
    assert known_loss(known, "plain", LinkModel(loss_frac=0.3)) == LossOptions()
    del known.boards["plain"][1]["network"]
    assert known_loss(known, "plain", LinkModel(loss_frac=0.3)) == LossOptions(frac=0.3)


def test_whether_a_network_loses_anything(tmp_path):
    known = lab(tmp_path, "frac = 0.1")
    assert network_loses(known, "jetson")
    assert not network_loses(known, "plain")
    assert not network_loses(lab(tmp_path, "frac = 0.0"), "jetson")
    known.boards["plain"][1]["network"] = {"down": {"loss": {"to_bad": 0.1}}}
    assert network_loses(known, "plain")
    del known.boards["plain"][1]["network"]
    assert not network_loses(known, "plain")


def test_a_wrong_table_is_named(tmp_path, data):
    wrong = lab(tmp_path, "fraction = 0.1")
    with pytest.raises(ConfigError, match=r"boards\.jetson\.network\.up\.loss\.fraction"):
        channel_of(wrong, "jetson", LinkModel(), data, {}, 1)
    wrong = lab(tmp_path, "frac = 0.1", "fil = 1")
    with pytest.raises(ConfigError, match=r"boards\.jetson\.lossy\.fil"):
        channel_of(wrong, "jetson", LinkModel(), data, {}, 1)


@pytest.mark.parametrize(
    ("network", "key"),
    [("5", "network"), ("{ up = 5 }", "network.up"), ("{ up = { loss = 5 } }", "network.up.loss")],
)
def test_a_network_that_is_no_table_is_named(tmp_path, network, key) -> None:
    text = LAB.replace("LOSS", "").replace("TABLE", 'fill = "grey"')
    (tmp_path / "lab.toml").write_text(text.replace("{ up = { delay_ms = 2 } }", network))
    with pytest.raises(ConfigError) as caught:
        network_loses(read_lab(tmp_path / "lab.toml"), "plain")
    assert caught.value.key == f"boards.plain.{key}"
