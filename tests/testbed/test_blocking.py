from __future__ import annotations

import asyncio
import threading

import pytest

from testbed.blocking import BlockingLab, LoopThread
from testbed.errors import ConfigError
from testbed.units import MS, S

LAB = """
schema = 1
name = "one"
[boards.here]
kind = "local"
site = "edge"
models = ["cnn-tiny", "resnet8-ee"]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocking")
    (folder / "lab.toml").write_text(LAB)
    with BlockingLab(folder / "lab.toml", state=folder / "state") as opened:
        yield opened


def test_a_batch_is_answered_right_most_of_the_time(lab):
    answers = lab.board("here").infer(lab.images[:50])
    right = sum(a == b for a, b in zip(answers.labels, lab.labels[:50], strict=True))
    assert right >= 35
    assert all(0 < confidence <= 1 for confidence in answers.confidences)
    assert 0 < answers.service_ms < answers.response_ms


def test_an_exit_is_taken_on_demand(lab):
    board = lab.board("here")
    assert board.infer(lab.images[:3], model="resnet8-ee", exit=1).exits == (1, 1, 1)
    assert board.infer(lab.images[:3], model="resnet8-ee").exits == (2, 2, 2)


def test_a_real_board_has_no_faults_on_order(lab):
    assert lab.board("here").faults is None


def test_names_are_checked(lab):
    assert lab.names == ("here",)
    with pytest.raises(ConfigError, match="Did you mean 'here'"):
        lab.board("her")
    with pytest.raises(ConfigError, match=r"boards\.here\.models"):
        lab.board("here").infer(lab.images[:1], model="resnet9")


def test_a_wait_is_bounded_and_what_was_waited_for_is_cancelled():
    loop = LoopThread()
    cancelled = threading.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    try:
        with pytest.raises(TimeoutError):
            loop.call(for_ever(), 20 * MS)
        assert cancelled.wait(1)
        assert loop.call(asyncio.sleep(0, "done"), S) == "done"
    finally:
        loop.close()


def test_closing_without_opening_is_fine(tmp_path):
    (tmp_path / "lab.toml").write_text(LAB)
    lab = BlockingLab(tmp_path / "lab.toml", state=tmp_path)
    lab.close()
