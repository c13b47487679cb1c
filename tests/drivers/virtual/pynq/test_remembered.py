"""Answers are found again by input, and leave where the limits say."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.boards.programs import SHIPPED
from drivers.npu.golden import Golden
from drivers.npu.program import read
from drivers.virtual.pynq.prepare import inputs_of
from drivers.virtual.pynq.remembered import Remembered, digest_of, read_remembered
from testbed.errors import ConfigError
from tests.drivers.virtual.pynq.conftest import ZOO

GIVEN = [b"one", b"two"]
TOTALS = np.array([[60000, 40000], [90000, 33000]], np.uint32)
LOGITS = np.array([[[1, 5, 2], [9, 0, 0]], [[0, 0, 4], [3, 2, 1]]], np.int8)


@pytest.fixture
def remembered():
    digests = np.array([list(digest_of(given)) for given in GIVEN], np.uint8)
    return Remembered(digests, TOTALS, LOGITS)


@pytest.mark.parametrize(
    ("limits", "exits"), [((0, 0), (1, 1)), ((60000, 0), (0, 1)), ((59999, 0), (1, 1)), ((90000, 0), (0, 0))]
)
def test_an_answer_leaves_at_the_first_exit_that_is_sure_enough(remembered, limits, exits):
    for row, (given, exit_) in enumerate(zip(GIVEN, exits, strict=True)):
        found = remembered.find(given, limits)
        assert (found.exit, found.total) == (exit_, TOTALS[row, exit_])
        assert found.label == LOGITS[row, exit_].argmax()
        assert found.logits == LOGITS[row, exit_].tobytes()


def test_another_input_is_not_known(remembered):
    assert len(remembered) == 2
    assert remembered.find(b"three", (0, 0)) is None


def test_arrays_of_other_shapes_are_refused():
    digests = np.zeros((2, 16), np.uint8)
    for wrong in (
        (digests[:, :8], TOTALS, LOGITS),
        (digests, TOTALS[:1], LOGITS),
        (digests, TOTALS[:, 0], LOGITS),
        (digests, TOTALS, LOGITS[:, :1]),
    ):
        with pytest.raises(ValueError, match="answers"):
            Remembered(*wrong)


def test_what_lies_beside_a_program_is_checked(tmp_path):
    program = tmp_path / "net.npu"
    assert read_remembered(program, "a" * 64) is None
    file = tmp_path / "net.answers.npz"
    file.write_bytes(b"PK")
    with pytest.raises(ConfigError, match="no answers"):
        read_remembered(program, "a" * 64)
    digests = np.zeros((2, 16), np.uint8)
    made_with = np.full(32, 0xAA, np.uint8)
    np.savez(file, program_sha256=made_with, digests=digests, totals=TOTALS, logits=LOGITS)
    assert read_remembered(program, "a" * 64) is not None
    with pytest.raises(ConfigError, match="another program"):
        read_remembered(program, "b" * 64)


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.npu")), ids=lambda file: file.stem)
def test_shipped_answers_are_the_integer_models(file):
    program = read(file)
    stored = read_remembered(file, program.sha256)
    with np.load(ZOO / "test.npz") as test:
        chosen = np.random.default_rng(5).choice(len(test["images"]), 8, replace=False)
        images = test["images"][chosen].reshape(-1, *program.input.shape)
    given = inputs_of(program, images)
    exits = len(program.output.exits)
    for number in range(exits):
        limits = [0xFFFFFFFF if k == number else 0 for k in range(exits)]
        for one, result in zip(given, Golden(program).run(given, limits), strict=True):
            found = stored.find(one.tobytes(), limits)
            assert (found.exit, found.label, found.total) == (result.exit, result.label, result.total)
            assert found.logits == result.logits.tobytes()
