from __future__ import annotations

import asyncio

import numpy as np
import pytest

from testbed.campaign.profiling.accuracy import AUDIT, THRESHOLDS, judge_exit, tabulate

N, CLASSES = 400, 4
RNG = np.random.default_rng(5)
LABELS = RNG.integers(CLASSES, size=N)
IMAGES = np.arange(N, dtype=np.uint8).reshape(N, 1)
SCORES = RNG.dirichlet(np.ones(CLASSES), N).astype(np.float32)


class Board:
    """Answers by row number, which the "image" cannot hold beyond 255: it remembers what it was shown instead."""

    def __init__(self, scores: np.ndarray, pause_s: float = 0.0) -> None:
        self.scores, self.pause_s, self.items = scores, pause_s, 0
        self.order = np.random.default_rng([1, 0]).permutation(N)

    async def answer(self, images: np.ndarray) -> tuple[list[int], list[float]]:
        rows = self.scores[self.order[self.items : self.items + len(images)]]
        assert (images[:, 0] == (self.order[self.items : self.items + len(images)] % 256)).all()
        self.items += len(images)
        await asyncio.sleep(self.pause_s)
        return rows.argmax(axis=1).tolist(), rows.max(axis=1).tolist()


def judge(board: Board, stored: np.ndarray | None, limit_s: float):
    return asyncio.run(
        judge_exit(board.answer, IMAGES, LABELS, stored, exit_=0, classes=CLASSES, limit_s=limit_s)
    )


def test_the_whole_set_is_executed_where_time_allows():
    told = judge(Board(SCORES), SCORES, 60.0)
    assert (told.stored, told.executed, told.agreed, told.n) == (False, N, N, N)
    assert told.correct == int((SCORES.argmax(axis=1) == LABELS).sum())


def test_a_slow_board_is_audited_and_the_stored_ones_stand():
    board = Board(np.roll(SCORES, 1, axis=1), pause_s=0.002)  # gives another label, however few are executed
    told = judge(board, SCORES, 0.04)
    assert told.stored
    assert told.executed == board.items < N
    assert told.executed >= 8
    assert told.agreed == 0
    assert told.correct == int((SCORES.argmax(axis=1) == LABELS).sum()), "figures are of the stored ones"


def test_a_quick_start_is_not_extrapolated_before_the_audit_is_full():
    assert judge(Board(SCORES), SCORES, 1e-9).executed < AUDIT
    assert judge(Board(SCORES), None, 1e-9).executed == N, "nothing stored to stand in"


def test_counts_by_hand():
    told = tabulate(
        np.array([0, 1, 1, 0]),
        np.array([0.95, 0.6, 0.85, 0.5]),
        np.array([0, 1, 0, 0]),
        exit_=1,
        classes=3,
        executed=4,
        agreed=None,
        whole=True,
    )
    assert (told.correct, told.recall) == (3, (0.6667, 1.0, 0.0))
    curve = dict(zip(told.threshold, zip(told.kept_frac, told.kept_accuracy, strict=True), strict=True))
    assert curve[0.0] == (1.0, 0.75)
    assert curve[0.8] == (0.5, 0.5)
    assert curve[0.9] == (0.25, 1.0)
    assert curve[0.99] == (0.0, 1.0)
    assert told.threshold == THRESHOLDS


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_what_the_schema_asks_for(seed):
    rng = np.random.default_rng(seed)
    told = tabulate(
        rng.integers(3, size=50), rng.random(50), rng.integers(3, size=50),
        exit_=0, classes=3, executed=50, agreed=None, whole=True,
    )  # fmt: skip
    assert list(told.kept_frac) == sorted(told.kept_frac, reverse=True)
    assert all(0 <= x <= 1 for x in told.kept_accuracy)
