import pytest

from testbed.contracts.toy_models import BATCHES, ToyBoard, ToyModel, answer, book, difficulty, truth
from testbed.model.placement import Core
from testbed.units import MS

NET = ToyModel(name="net", parts_ms=(4.0, 6.0), accuracy=(0.5, 0.9), kept_bytes=(300, 0))


def test_accuracy_is_what_the_model_says():
    for part, accuracy in enumerate(NET.accuracy):
        right = sum(answer(NET, part, s).label == truth(s) for s in range(4000))
        assert right / 4000 == pytest.approx(accuracy, abs=0.02)


def test_easy_samples_make_confident_answers():
    easy, hard = min(range(500), key=difficulty), max(range(500), key=difficulty)
    assert answer(NET, 1, easy).confidence > 0.95 > 0.2 > answer(NET, 1, hard).confidence
    assert sum(answer(NET, 1, hard).scores) == pytest.approx(1.0)


def test_scores_agree_with_label_and_confidence():
    for sample in range(50):
        said = answer(NET, 1, sample)
        assert max(said.scores) == said.scores[said.label] == said.confidence


def test_encoder_gives_no_label():
    said = answer(ToyModel(name="enc", labels=False, boxes=((0, 0, 2, 2),)), 0, 5, kept_bytes=9)
    assert (said.label, said.kept_bytes, said.boxes) == (-1, 9, ((0, 0, 2, 2),))


def test_profile_tells_the_time_that_the_board_takes():
    board = ToyBoard(id="b", speed=2.0)
    row = book([board], [NET]).find("b", "net")
    assert row.service_at(1) == 5 * MS
    assert row.service_at(1, exit_=0) == 2 * MS
    assert row.service_of((1, 2)) == 3 * MS
    for batch in BATCHES:
        assert row.service_at(batch) == pytest.approx(sum(NET.part(i, batch, 2.0) for i in range(2)), abs=10)


def test_lanes_are_cores_where_they_are_listed():
    board = ToyBoard(id="b", speed=2.0, cores=(Core(name="gpu", relative_speed=3.0),))
    assert (board.lane_speed(0), board.lane_speed(1)) == (6.0, 2.0)
