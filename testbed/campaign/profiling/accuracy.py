"""How often the model is right on this board, on the calibration set, and what its confidence is worth there.

The board really executes the set. Where that would take longer than allowed (a serial line, a slow board), it executes
a drawn part and is held to the stored predictions there; the figures are then of the stored ones, and say so.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from testbed.campaign.profiling.bench import since
from testbed.campaign.profiling.journal import AccuracySeen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from numpy.typing import NDArray

    Answer = Callable[[NDArray[np.uint8]], Awaitable[tuple[list[int], list[float]]]]

AUDIT = 100
"""Samples executed first, drawn from the whole set: to see how long all take, and to hold stored ones to."""
CHUNK = 8
THRESHOLDS = (
    0.0,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.75,
    0.8,
    0.85,
    0.9,
    0.925,
    0.95,
    0.97,
    0.98,
    0.99,
    0.995,
    0.999,
)


async def judge_exit(
    answer: Answer,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    stored: NDArray[np.float32] | None,
    *,
    exit_: int,
    classes: int,
    limit_s: float,
    batch: int = CHUNK,
    seed: int = 1,
    on_items: Callable[[int], None] = lambda _: None,
) -> AccuracySeen:
    """Judge one exit.

    Args:
        answer: has the board execute a batch; gives labels and confidences.
        images: uint8 (n, ...). labels: (n,), right ones. stored: probabilities (n, classes), ``None`` for none.
        limit_s: time for executing the set.
        batch: items of one execution. seed: of the part drawn.
        on_items: called with the number of items just executed.

    Raises:
        BoardError: an execution failed.
    """
    n = len(labels)
    order = np.random.default_rng([seed, exit_]).permutation(n)
    label, confidence = np.full(n, -1, dtype=np.int64), np.zeros(n)
    start, done = time.monotonic_ns(), 0
    while done < n:
        if stored is not None and done and since(start) * (n / done if done >= AUDIT else 1.0) > limit_s:
            break
        picks = order[done : done + batch]
        label[picks], confidence[picks] = await answer(images[picks])
        done += len(picks)
        on_items(len(picks))
    executed = order[:done]
    agreed = None
    if stored is not None:
        own = stored.argmax(axis=1)
        agreed = int((label[executed] == own[executed]).sum())
        if done < n:
            label, confidence = own.astype(np.int64), stored.max(axis=1).astype(np.float64)
    return tabulate(
        label, confidence, labels, exit_=exit_, classes=classes, executed=done, agreed=agreed, whole=done == n
    )


def tabulate(
    label: NDArray[np.int64],
    confidence: NDArray[np.float64],
    truth: NDArray[np.int64],
    *,
    exit_: int,
    classes: int,
    executed: int,
    agreed: int | None,
    whole: bool,
) -> AccuracySeen:
    """Count: hits, per class, and per threshold how many are as confident and how many of those are right.

    Args:
        label, confidence, truth: shape (n,), n >= 1.
        whole: the board executed all of them.
    """
    right = label == truth
    kept = [confidence >= tau for tau in THRESHOLDS]
    return AccuracySeen(
        exit=exit_,
        n=len(truth),
        correct=int(right.sum()),
        executed=executed,
        agreed=agreed,
        stored=not whole,
        recall=tuple(
            round(float(right[truth == c].mean()), 4) if (truth == c).any() else 0.0 for c in range(classes)
        ),
        threshold=THRESHOLDS,
        kept_frac=tuple(round(float(mask.mean()), 4) for mask in kept),
        kept_accuracy=tuple(round(float(right[mask].mean()), 4) if mask.any() else 1.0 for mask in kept),
    )
