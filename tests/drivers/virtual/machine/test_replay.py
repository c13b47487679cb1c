from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from drivers.agent.runtimes import Outcome
from drivers.virtual.machine.replay import Replay, read_replay
from testbed.wire import Tensor
from testbed.wire.messages import CANCELLED_EXIT

if TYPE_CHECKING:
    from pathlib import Path

FIRST = np.array([[0.9, 0.1], [0.4, 0.6]], np.float32)
LAST = np.array([[0.7, 0.3], [0.2, 0.8]], np.float32)


def rows(outcome: Outcome) -> np.ndarray:
    (tensor,) = outcome.outputs
    return np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)


def test_each_item_leaves_at_the_first_exit_that_is_sure_enough() -> None:
    replay = Replay([FIRST, LAST])
    outcome = replay.answer([0, 1, 1], [(0.85,), (0.85,), (0.55,)], set())
    assert outcome.exits == (0, 1, 0)
    assert rows(outcome) == pytest.approx(np.array([FIRST[0], LAST[1], FIRST[1]]))


def test_without_thresholds_the_last_exit_answers() -> None:
    assert Replay([FIRST, LAST]).answer([0, 1], [(), (0.95, 0.0)], set()).exits == (1, 1)


def test_a_cancelled_item_is_marked_and_zero() -> None:
    outcome = Replay([FIRST]).answer([0, 1], [(), ()], {0})
    assert outcome.exits == (CANCELLED_EXIT, 0)
    assert rows(outcome)[0].tolist() == [0, 0]


def test_unknown_samples_are_not_answered_from_memory() -> None:
    replay = Replay([FIRST])
    assert replay.knows([0, 1])
    assert not replay.knows([0, -1])
    assert not replay.knows([2])
    assert not replay.knows([])


def test_agreement_allows_rounding_and_nothing_else() -> None:
    replay = Replay([FIRST])
    stored = replay.answer([0], [()], set())

    def real(first: float, exit_: int = 0) -> Outcome:
        values = np.array([[first, 1 - first]], np.float32)
        return Outcome([exit_], (Tensor("float32", (1, 2), values.tobytes()),), {})

    assert replay.agrees(real(0.901), stored)
    assert not replay.agrees(real(0.8), stored)
    assert not replay.agrees(real(0.9, exit_=1), stored)


def test_the_zoos_predictions_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    np.savez(
        file, test_exit0=FIRST.astype(np.float16), test_exit1=LAST.astype(np.float16), calibration_exit0=FIRST
    )
    assert read_replay(file).answer([1], [()], set()).exits == (1,)
    assert read_replay(file, "calibration").answer([1], [()], set()).exits == (0,)
    with pytest.raises(ValueError, match="array per exit"):
        read_replay(file, "validation")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_replay(file, sha256=sha256).answer([1], [()], set()).exits == (1,)
    with pytest.raises(ValueError, match="catalogue"):
        read_replay(file, sha256="0" * 64)
