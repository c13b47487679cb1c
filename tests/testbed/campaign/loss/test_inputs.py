"""On some images of the shipped set."""

import numpy as np
import pytest

from testbed.campaign.data import Data
from testbed.campaign.loss.calibration import Way
from testbed.campaign.loss.inputs import Kept, LossyInputs
from testbed.model.action import Item
from testbed.model.datagrams import LossyOptions

TASK = "image-classification/fashion-mnist"
WAY = Way.of(LossyOptions(units=1, packet_bytes=192, fill="grey"))
BATCH, REACHED = (Item(request=0),), (0, 0, 0)


@pytest.fixture(scope="module")
def data():
    return Data({TASK: None})


def answer(inputs, model, sample, gone):
    (item,), _ = inputs.answers(model, sample, gone).of(BATCH, (0,), REACHED)
    return item


def test_a_whole_picture_is_answered_about_as_it_is_stored(data):
    inputs = LossyInputs(data, WAY)
    stored = data.tasks[TASK].test_scores("cnn-small")[-1]
    found = [answer(inputs, "cnn-small", sample, ()) for sample in range(100)]
    assert {item.lost_frac for item in found} == {0.0}
    # A JPEG of quality 85 is not quite the picture.
    assert np.mean([item.label == stored[i].argmax() for i, item in enumerate(found)]) > 0.9


def test_packets_are_those_of_a_board_and_take_their_share_of_the_picture(data):
    inputs = LossyInputs(data, WAY)
    sizes = inputs.sizes("cnn-small", 3)
    assert 4 <= len(sizes) <= 12
    assert all(0 < size <= WAY.packet_bytes for size in sizes)
    every = tuple(range(len(sizes)))
    shares = [inputs.lost_frac("cnn-small", 3, (number,)) for number in every]
    assert sum(shares) == pytest.approx(1.0)
    assert inputs.lost_frac("cnn-small", 3, every[1:]) == pytest.approx(sum(shares[1:]))
    assert answer(inputs, "cnn-small", 3, every[1:]).lost_frac == pytest.approx(sum(shares[1:]))


def test_rows_of_which_nothing_is_left_are_told(data):
    inputs = LossyInputs(
        data, Way.of(LossyOptions(units=0, packet_bytes=400, fill="grey"))
    )  # a row of eight pixels a segment
    every = range(len(inputs.sizes("cnn-small", 3)))
    told = [answer(inputs, "cnn-small", 3, (number,)).lost_rows for number in every]
    assert sorted(row for rows in told for row in rows) == list(range(28))
    assert answer(inputs, "cnn-small", 3, ()).lost_rows == ()


def test_the_more_is_lost_the_more_answers_are_wrong_and_always_the_same_ones(data):
    truth = data.tasks[TASK].truth
    right = []
    for lost in (0, 2, 4):
        inputs, again = LossyInputs(data, WAY), LossyInputs(data, WAY)
        found = []
        for sample in range(200):
            packets = np.random.default_rng(sample).permutation(len(inputs.sizes("cnn-small", sample)))
            gone = tuple(sorted(packets[:lost].tolist()))
            found.append(answer(inputs, "cnn-small", sample, gone))
            if sample < 20:
                assert answer(again, "cnn-small", sample, gone) == found[-1]
        right.append(np.mean([item.label == truth[sample] for sample, item in enumerate(found)]))
    # 200 images: a standard error of 3.5 points at most; four packets of seven take 30 points and more.
    assert right[0] > right[1] > right[2]
    assert right[0] - right[2] > 0.2


def test_an_early_exit_is_taken_of_what_is_left(data):
    inputs = LossyInputs(data, WAY)
    answers = inputs.answers("resnet8-ee", 0, (1,))
    early = Item(request=0, exit=type(BATCH[0].exit).at(0))
    (item,), _ = answers.of((early,), (0,), REACHED)
    assert item.exit == 0
    assert item.lost_frac > 0


def test_no_more_is_kept_than_may_be_and_what_was_used_last_stays():
    kept = Kept(100)
    for name in "abc":
        kept.keep(name, name, 40)
    assert kept.find("a") is None
    assert kept.held_bytes == 80
    assert kept.find("b") == "b"
    kept.keep("d", "d", 40)
    assert (kept.find("c"), kept.find("b")) == (None, "b")
    kept.keep("large", "large", 1000)  # larger than everything: kept alone
    assert kept.find("large") == "large"
    assert kept.held_bytes == 1000
