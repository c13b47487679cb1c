"""A user's own tests of a board: they pass on a virtual one, and stay as they are on a real one."""

import pytest

from testbed.errors import BoardError


def test_it_says_what_it_is(testbed_board):
    assert testbed_board.facts.boot_id
    assert testbed_board.models


def test_it_answers_right_most_of_the_time(testbed_lab, testbed_board):
    images, labels = testbed_lab.images[:64], testbed_lab.labels[:64]
    answers = testbed_board.infer(images, samples=range(64))
    right = sum(answer == label for answer, label in zip(answers.labels, labels, strict=True))
    assert right >= 48
    assert 0 < answers.service_ms < answers.response_ms


def test_energy_is_told_with_its_uncertainty(testbed_lab, testbed_board):
    with testbed_board.metered(rest_s=0.5) as told:
        for _ in range(50):
            testbed_board.infer(testbed_lab.images[:1])
    for energy in told.energies.values():
        assert energy.net_j is None or energy.net_j > -2 * energy.sigma_j, energy.reason


@pytest.mark.testbed_board("mcu")
def test_the_serial_board_answers_one_image(testbed_lab, testbed_board):
    answers = testbed_board.infer(testbed_lab.images[:1])
    assert len(answers.labels) == 1


def test_it_comes_back_after_the_link_was_cut(testbed_lab, testbed_board, testbed_faults):
    before = testbed_board.infer(testbed_lab.images[:1])
    testbed_faults.cut(0.2)
    with pytest.raises(BoardError):
        testbed_board.infer(testbed_lab.images[:1])
    testbed_board.wait_up(within_s=30)
    assert testbed_board.infer(testbed_lab.images[:1]).labels == before.labels


@pytest.mark.hardware("orin")
def test_the_real_one_is_quick(testbed_lab, testbed_board):
    assert testbed_board.infer(testbed_lab.images[:1]).service_ms < 20
