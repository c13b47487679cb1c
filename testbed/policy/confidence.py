"""Confidence scaling: how sure a frontend must be for its answer to stand, calibrated per accuracy target.

Of n held-out samples the k most confident are answered at the edge and the others by the backend, which gives an
accuracy ``acc(k)`` of the mixture. For a target the largest k whose lower confidence bound still reaches it is
taken, so that the fewest requests travel. ``acc(k)`` is not monotone: the first crossing would be wrong.

The promise holds for the mixture in the long run, per task and target, not for a single request.

Source: the idea (a frontend, a backend and a moving threshold instead of one model per accuracy level) is
EdgeSight's, arXiv 2405.19213; the calibration rule is our own, since the paper's was not available to us.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.errors import ConfigError
from testbed.policy.metrics import Metric, confidences, fit_temperature
from testbed.policy.thresholds import PlanKind, Threshold, ThresholdTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.model.ids import ModelId, TaskId

Z = 1.645
"""One-sided 95 %: with 0 the target is missed in about half of all calibrations."""

EARLY_EXITS = (0.8, 0.9, 0.97)
"""Confidences tried for leaving a multi-exit frontend early; few, since every choice made on the data costs margin."""

EXIT_TOLERANCE = 0.01
"""So much more may travel if the frontend leaves earlier for it."""


class Curve(Struct, frozen=True):
    """Accuracy of the mixture for every number k of samples answered at the edge.

    Attributes:
        confidence: shape (n,), falling. accuracy, lcb: shape (n + 1,), for k = 0..n.
        allowed: shape (n + 1,), whether k can be had with a threshold, i.e. does not cut through equals.
        agreement: shape (n + 1,), share of the k answers that stand with which the backend agrees; 1 for none.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    lcb: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    agreement: NDArray[np.float64]


def lower_bound(accuracy: NDArray[np.float64], n: int, z: float = Z) -> NDArray[np.float64]:
    """Lower confidence bound of a share, by the normal approximation."""
    return accuracy - z * np.sqrt(accuracy * (1.0 - accuracy) / n)


def curve(
    confidence: NDArray[np.float64],
    edge_correct: NDArray[np.bool_],
    backend_correct: NDArray[np.bool_],
    z: float = Z,
    agrees: NDArray[np.bool_] | None = None,
) -> Curve:
    """The mixture's accuracy for every k, by prefix sums.

    Args:
        confidence, edge_correct, backend_correct: shape (n,), n >= 1, of the same samples.
        agrees: whether both give the same label; by default, whether both are right or both wrong.

    Raises:
        ConfigError: no samples, or shapes that do not match.
    """
    n = len(confidence)
    if n == 0:
        raise ConfigError(
            "no calibration samples", cure="Calibrate on a labelled set of its own, 2,000 or more"
        )
    if edge_correct.shape != (n,) or backend_correct.shape != (n,):
        raise ConfigError(f"{n} confidences, but {edge_correct.shape} and {backend_correct.shape} answers")
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    edge = np.concatenate(([0], np.cumsum(edge_correct[order])))
    backend = np.concatenate(([0], np.cumsum(backend_correct[order])))
    accuracy = (edge + backend[-1] - backend) / n
    allowed = np.ones(n + 1, dtype=np.bool_)
    allowed[1:n] = sure[:-1] > sure[1:]
    same = np.cumsum((edge_correct == backend_correct if agrees is None else agrees)[order])
    agreement = np.concatenate(([1.0], same / np.arange(1, n + 1)))
    return Curve(sure, accuracy, lower_bound(accuracy, n, z), allowed, agreement)


def choose(found: Curve, target: float) -> tuple[PlanKind, int]:
    """The plan for a target and how many samples stay at the edge."""
    n = len(found.confidence)
    feasible = np.flatnonzero((found.lcb >= target) & found.allowed)
    if len(feasible):
        k = int(feasible[-1])
        return (PlanKind.EDGE_ONLY if k == n else PlanKind.CASCADE if k > 0 else PlanKind.DC_ONLY), k
    if found.accuracy[0] >= target:
        return PlanKind.DC_ONLY, 0
    return PlanKind.INFEASIBLE, int(np.argmax(np.where(found.allowed, found.lcb, -math.inf)))


def calibrate(
    task: TaskId,
    *,
    labels: NDArray[np.integer],
    frontends: Mapping[ModelId, Sequence[NDArray[np.floating]]],
    backend: ModelId,
    backend_scores: NDArray[np.floating],
    targets: Sequence[float],
    z: float = Z,
    metric: Metric = Metric.MAX_SOFTMAX,
    tempered: bool = False,
    lost_frac: float = 0.0,
    sha256: Mapping[ModelId, tuple[str, ...]] | None = None,
    dataset_sha256: str = "",
) -> ThresholdTable:
    """One row per frontend and target, from softmax outputs on a held-out labelled set.

    The set must have served neither for training nor be the one that experiments run on.

    Args:
        labels: shape (n,).
        frontends: per model its probabilities of shape (n, classes), one array per exit, the last one last.
        backend_scores: probabilities of the backend, shape (n, classes).
        targets: accuracies to calibrate for, within (0, 1].
        metric: what sureness is read off. tempered: with a temperature fitted for each exit's scores on these
            samples; early exits are left by max softmax all the same, since that is what a board compares.
        lost_frac: of the inputs that ``frontends`` answered; kept with the rows.
        sha256: hashes of each model's files; dataset_sha256: of the set; both only kept with the rows.

    Raises:
        ConfigError: no samples, shapes that do not match, or a target out of range.
    """
    hashes = sha256 or {}
    truth = np.asarray(labels)
    for target in targets:
        if not 0.0 < target <= 1.0:
            raise ConfigError(f"accuracy target {target} is not within (0, 1]", key="targets")
    backend_labels = _labels(np.asarray(backend_scores, dtype=np.float64), truth)
    backend_correct = backend_labels == truth
    rows = []
    for frontend in sorted(frontends):
        temperature = fit_temperature(np.asarray(frontends[frontend][-1]), truth) if tempered else 1.0
        exits = [
            _answers(np.asarray(scores, dtype=np.float64), truth, backend_labels, metric, temperature)
            for scores in frontends[frontend]
        ]
        options = [_leave_early(exits, rule, backend_correct, z) for rule in _rules(len(exits))]
        for target in sorted(set(targets)):
            rule, left, found, plan, k = _pick(options, target)
            rows.append(
                Threshold(
                    task=task,
                    frontend=frontend,
                    backend=backend,
                    target=target,
                    plan=plan,
                    tau=_tau(found, plan, k),
                    exits=rule,
                    exit_frac=left,
                    p_off=1.0 - k / len(truth),
                    acc_hat=float(found.accuracy[k]),
                    lcb=float(found.lcb[k]),
                    margin=bool(found.lcb[k] >= target),
                    backend_accuracy=float(found.accuracy[0]),
                    n=len(truth),
                    z=z,
                    metric=metric,
                    temperature=temperature,
                    agreement=float(found.agreement[k]) if k else None,
                    lost_frac=lost_frac,
                    frontend_sha256=hashes.get(frontend, ()),
                    backend_sha256=hashes.get(backend, ()),
                    dataset_sha256=dataset_sha256,
                )
            )
    return ThresholdTable(rows=tuple(rows))


class _Exit(Struct, frozen=True):
    """What a frontend says at one exit; arrays of shape (n,)."""

    sure: NDArray[np.float64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    agrees: NDArray[np.bool_]


def _labels(scores: NDArray[np.float64], truth: NDArray[np.integer]) -> NDArray[np.intp]:
    """Answers, shape (n,)."""
    if scores.ndim != 2 or len(scores) != len(truth):
        raise ConfigError(f"scores of shape {scores.shape} for {len(truth)} labels")
    if len(truth) == 0:
        raise ConfigError(
            "no calibration samples", cure="Calibrate on a labelled set of its own, 2,000 or more"
        )
    found: NDArray[np.intp] = scores.argmax(axis=1)
    return found


def _answers(
    scores: NDArray[np.float64],
    truth: NDArray[np.integer],
    backend_labels: NDArray[np.intp],
    metric: Metric,
    temperature: float,
) -> _Exit:
    labels = _labels(scores, truth)
    return _Exit(
        scores.max(axis=1),
        confidences(scores, metric, temperature),
        labels == truth,
        labels == backend_labels,
    )


def _rules(exits: int) -> list[tuple[float, ...]]:
    """Exit rules to try: to the end, then the same confidence at every early exit."""
    return [()] + [(early,) * (exits - 1) for early in EARLY_EXITS if exits > 1]


_Option = tuple[tuple[float, ...], tuple[float, ...], Curve]


def _leave_early(
    exits: Sequence[_Exit], rule: tuple[float, ...], backend_correct: NDArray[np.bool_], z: float
) -> _Option:
    """The curve of a frontend under an exit rule: every sample counts with the exit it leaves at."""
    at = np.full(len(backend_correct), len(exits) - 1)
    for exit_, sure in reversed(list(enumerate(rule))):
        at[exits[exit_].sure >= sure] = exit_

    def taken(columns: list[NDArray[Any]]) -> NDArray[Any]:
        found: NDArray[Any] = np.array(columns)[at, np.arange(len(at))]
        return found

    left = tuple(float(np.mean(at == e)) for e in range(len(exits)))
    found = curve(
        taken([e.confidence for e in exits]),
        taken([e.correct for e in exits]),
        backend_correct,
        z,
        agrees=taken([e.agrees for e in exits]),
    )
    return rule, left, found


def _pick(
    options: Sequence[_Option], target: float
) -> tuple[tuple[float, ...], tuple[float, ...], Curve, PlanKind, int]:
    """Among the rules that send the fewest away, give or take a little, the one that leaves earliest."""
    found = [(rule, left, c, *choose(c, target)) for rule, left, c in options]
    feasible = [f for f in found if f[3] in (PlanKind.EDGE_ONLY, PlanKind.CASCADE)]
    if not feasible:
        return max(found, key=lambda f: float(f[2].lcb[f[4]]))
    n = len(feasible[0][2].confidence)
    most = max(f[4] for f in feasible)
    near = [f for f in feasible if f[4] >= most - EXIT_TOLERANCE * n and (f[4] == n) == (most == n)]
    return min(near, key=lambda f: sum(exit_ * share for exit_, share in enumerate(f[1])))


def _tau(found: Curve, plan: PlanKind, k: int) -> float | None:
    if plan is PlanKind.EDGE_ONLY:
        return 0.0
    return float(found.confidence[k - 1]) if plan is PlanKind.CASCADE else None
