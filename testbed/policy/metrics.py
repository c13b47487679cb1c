"""How sure a classifier is, as one number: what a threshold is compared with.

All three metrics lie in [0, 1] and rise with sureness. A temperature above 1 makes probabilities flatter; it changes
the order of samples only for metrics that see more than one probability, so for max softmax it matters where a
confidence is read as a probability, and hardly for a threshold that was calibrated with it.

Source: margin, "best versus second best", Joshi, Porikli, Papanikolopoulos, CVPR 2009; temperature scaling, Guo,
Pleiss, Sun, Weinberger, ICML 2017 (arXiv 1706.04599).
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TEMPERATURES = (0.1, 10.0)
"""Range that `fit_temperature` searches; the zoo's networks lie between 0.8 and 2."""

_TINY = 1e-12


class Metric(enum.Enum):
    """What is read off the probabilities of all classes."""

    MAX_SOFTMAX = "max-softmax"
    MARGIN = "margin"
    """Most probable class minus the second."""
    ENTROPY = "entropy"
    """One minus the entropy over that of a uniform distribution."""


def tempered(scores: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Probabilities of shape (n, classes) as they would be with logits divided by ``temperature``.

    The logits are not needed: log-probabilities differ from them by a constant per row, which softmax forgets.
    """
    logs = np.log(np.maximum(np.asarray(scores, dtype=np.float64), _TINY)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found


def confidences(
    scores: NDArray[np.floating], metric: Metric = Metric.MAX_SOFTMAX, temperature: float = 1.0
) -> NDArray[np.float64]:
    """The metric for each row of softmax outputs, shape (n, classes) to (n,)."""
    p = np.asarray(scores, dtype=np.float64) if temperature == 1.0 else tempered(scores, temperature)
    if metric is Metric.MAX_SOFTMAX:
        found = p.max(axis=1)
    elif metric is Metric.MARGIN:
        top = np.partition(p, -2, axis=1)[:, -2:]
        found = top[:, 1] - top[:, 0]
    else:
        found = 1.0 + (p * np.log(np.maximum(p, _TINY))).sum(axis=1) / math.log(p.shape[1])
    return np.asarray(found, dtype=np.float64)


def confidence(
    scores: Sequence[float], metric: Metric = Metric.MAX_SOFTMAX, temperature: float = 1.0
) -> float:
    """The metric for one answer, the same number that `confidences` gives for it."""
    if metric is Metric.MAX_SOFTMAX and temperature == 1.0:
        return max(scores)
    return float(confidences(np.array([scores]), metric, temperature)[0])


def fit_temperature(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature that makes held-out labels most likely.

    Args:
        scores: softmax outputs of shape (n, classes). labels: shape (n,).
    """
    from scipy.optimize import minimize_scalar  # half a second to import, and only calibration needs it

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        p = tempered(scores, math.exp(log_temperature))[rows, labels]
        return -float(np.log(np.maximum(p, _TINY)).mean())

    low, high = (math.log(t) for t in TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return math.exp(float(found.x))
