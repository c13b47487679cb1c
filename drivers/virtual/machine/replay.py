"""Stored predictions: the answers a model gave once, looked up by sample."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np

from drivers.agent.runtimes import Outcome
from testbed.wire import Tensor
from testbed.wire.messages import CANCELLED_EXIT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from numpy.typing import NDArray

_TOLERANCE = 5e-3
"""Stored probabilities are float16; kernels of another processor differ by less than this."""


class Replay:
    """The stored answers of one model, one array of probabilities (samples, classes) per exit."""

    def __init__(self, exits: Sequence[NDArray[np.float32]]) -> None:
        """Keep them.

        Raises:
            ValueError: no exits, or exits of different shapes.
        """
        if not exits or any(e.shape != exits[0].shape or e.ndim != 2 for e in exits):
            raise ValueError(
                "stored predictions need one (samples, classes) array per exit, all of one shape"
            )
        self._exits = exits

    def knows(self, samples: Sequence[int]) -> bool:
        """Every sample of the batch has an answer stored."""
        n = len(self._exits[0])
        return bool(samples) and all(0 <= sample < n for sample in samples)

    def answer(
        self, samples: Sequence[int], thresholds: Sequence[Sequence[float]], dropped: AbstractSet[int]
    ) -> Outcome:
        """What the model would say, leaving each item at the first exit whose confidence suffices."""
        rows = np.zeros((len(samples), self._exits[0].shape[1]), np.float32)
        exits: list[int] = []
        for i, sample in enumerate(samples):
            if i in dropped:
                exits.append(CANCELLED_EXIT)
                continue
            exit_ = self._leaves_at(sample, thresholds[i] if i < len(thresholds) else ())
            rows[i] = self._exits[exit_][sample]
            exits.append(exit_)
        return Outcome(tuple(exits), (Tensor("float32", rows.shape, rows.tobytes()),), {})

    def agrees(self, real: Outcome, stored: Outcome) -> bool:
        """A real execution gave the stored labels at the stored exits, with probabilities within a tolerance."""
        a, b = (np.frombuffer(o.outputs[0].data, o.outputs[0].dtype) for o in (real, stored))
        return (
            tuple(real.exits) == tuple(stored.exits)
            and a.shape == b.shape
            and bool(np.allclose(a, b, rtol=0, atol=_TOLERANCE))
        )

    def _leaves_at(self, sample: int, thresholds: Sequence[float]) -> int:
        last = len(self._exits) - 1
        for exit_ in range(min(len(thresholds), last)):
            if float(self._exits[exit_][sample].max()) >= thresholds[exit_]:
                return exit_
        return last


def read_replay(file: Path, split: str = "test", sha256: str = "") -> Replay:
    """Stored predictions of the zoo: arrays ``<split>_<exit>`` in the order of the network.

    Args:
        sha256: what the file's hash must be; empty does not insist.

    Raises:
        ValueError: the file holds none for this set, or is another one.
        OSError: it cannot be read.
    """
    content = file.read_bytes()
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{file.name} is not the file of stored predictions that the catalogue names")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        names = [name for name in stored.files if name.startswith(f"{split}_")]
        return Replay([stored[name].astype(np.float32) for name in names])
