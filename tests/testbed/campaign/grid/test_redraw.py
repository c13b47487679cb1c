import numpy as np
import pytest

from testbed.campaign.data import Data
from testbed.campaign.grid.redraw import redrawn, with_known_accuracies
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, ProfileBook, Quantity, Service
from testbed.model.request import Request

TASK = "image-classification/fashion-mnist"


@pytest.fixture(scope="module")
def shipped() -> Data:
    return Data({TASK: None})


@pytest.fixture(scope="module")
def drawn(shipped) -> Data:
    return redrawn(shipped, 7)


def test_both_sets_together_are_the_same_samples(shipped, drawn) -> None:
    before, after = shipped.tasks[TASK], drawn.tasks[TASK]
    assert after.drawn_from == 4000
    assert before.drawn_from == 2000
    for read in (
        lambda t: [t.calibration_labels(), t.labels],
        lambda t: [t.calibration_images(), t.images],
        lambda t: [t.calibration_scores("cnn-small")[-1], t.test_scores("cnn-small")[-1]],
    ):
        old, new = read(before), read(after)
        assert [len(part) for part in new] == [len(part) for part in old]
        assert not np.array_equal(new[0], old[0])
        a, b = (np.concatenate(parts).reshape(4000, -1).astype(np.float64) for parts in (old, new))
        np.testing.assert_array_equal(a[np.lexsort(a.T)], b[np.lexsort(b.T)])


def test_image_label_and_answer_still_belong_together(shipped, drawn) -> None:
    """Of one sample: what the model says is right as often as over the whole pool, and truth goes with the image."""
    before, after = shipped.tasks[TASK], drawn.tasks[TASK]
    labels = np.concatenate([before.calibration_labels(), before.labels])
    images = np.concatenate([before.calibration_images(), before.images])
    scores = np.concatenate([before.calibration_scores("resnet8")[-1], before.test_scores("resnet8")[-1]])
    for sample in (0, 1, 1999):
        (place,) = np.flatnonzero((images == after.images[sample]).all(axis=(1, 2, 3)))
        assert (
            labels[place]
            == after.labels[sample]
            == drawn.truth(Request(id=0, task=TASK, sample=sample, arrival=0))
        )
        np.testing.assert_array_equal(scores[place], after.test_scores("resnet8")[-1][sample])


def test_a_seed_is_a_draw(shipped, drawn) -> None:
    again, other = redrawn(shipped, 7), redrawn(shipped, 8)
    np.testing.assert_array_equal(again.tasks[TASK].labels, drawn.tasks[TASK].labels)
    assert not np.array_equal(other.tasks[TASK].labels, drawn.tasks[TASK].labels)
    assert shipped.tasks[TASK].drawn_from == 2000  # untouched


def test_policies_know_the_accuracy_of_the_calibration_samples(drawn) -> None:
    profile = HwProfile(
        schema=1,
        board="b",
        model="cnn-small",
        task=TASK,
        service=(Service(batch=1, p=(0.5,), ms=(1.0,), origin=Origin.ASSUMED, source="test"),),
        accuracy=(Quantity(value=0.1, origin=Origin.ASSUMED, source="test"),),
    )
    book = with_known_accuracies(ProfileBook({("b", "cnn-small"): profile}), drawn)
    task = drawn.tasks[TASK]
    (known,) = book.rows["b", "cnn-small"].accuracy
    right = task.calibration_scores("cnn-small")[-1].argmax(axis=1) == task.calibration_labels()
    assert known.value == pytest.approx(right.mean())
    assert known.origin is Origin.MEASURED
    assert "calibration samples" in known.source
    assert book.rows["b", "cnn-small"].service == profile.service
