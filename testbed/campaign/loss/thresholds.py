"""Thresholds that know how much of a picture was lost against thresholds that do not, on images neither has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.policy.confidence import calibrate
from testbed.policy.thresholds import merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.campaign.loss.spec import LossStudy
    from testbed.policy.thresholds import Threshold, ThresholdTable

TASK = "lossy"


class Answers(Struct, frozen=True):
    """A frontend's confidence and whether it is right, shape (n,)."""

    confidence: NDArray[np.float32]
    right: NDArray[np.bool_]


class Case(Struct, frozen=True):
    """Answers after one kind of loss; ``shares`` of each picture that were lost, shape (n,)."""

    pattern: str
    loss: float
    answers: Answers
    shares: NDArray[np.float64]


class Bucket(Struct, frozen=True):
    """Probabilities, shape (n, classes), for pictures that each lost as much as the bucket allows."""

    lost_frac: float
    scores: NDArray[np.float32]


class ThresholdRow(Struct, frozen=True, kw_only=True):
    """One frontend, target and kind of loss over all splits, on the test halves.

    Attributes:
        aware: whether the threshold was that of the picture's loss. promised: splits in which the target was promised
            with a margin for pictures that lost nothing; the rest are means over these.
        accuracy, offload_frac: of the mixture of frontend and backend. whole_accuracy: the same thresholds' without
            loss, on the same images. drop_pt: ``whole_accuracy - accuracy`` [points]; drop_low_pt, drop_high_pt: where
            95 % of the splits lie, which is no confidence interval since splits share images.
        n: test images in each split.
    """

    what: str = "thresholds"
    frontend: str
    target: float
    pattern: str
    loss: float
    aware: bool
    n: int
    promised: int
    accuracy: float | None
    offload_frac: float | None
    whole_accuracy: float | None
    drop_pt: float | None
    drop_low_pt: float | None
    drop_high_pt: float | None


def threshold_rows(
    study: LossStudy,
    labels: NDArray[np.int64],
    backend: NDArray[np.float32],
    buckets: Mapping[str, Sequence[Bucket]],
    cases: Mapping[str, Sequence[Case]],
) -> list[ThresholdRow]:
    """In the order frontend, target, case, aware or not.

    Args:
        labels: shape (n,). backend: its probabilities without loss, shape (n, classes).
        buckets: of each frontend, the first one without loss. cases: of each frontend.
    """
    right = backend.argmax(axis=1) == labels
    half = len(labels) // 2
    found: dict[tuple[str, float, int, bool], list[tuple[float, float, float]]] = {}
    for split in range(study.splits):
        order = np.random.default_rng([study.seed, 4, split]).permutation(len(labels))
        known, test = order[:half], order[half:]
        for frontend in study.frontends:
            table = table_of(study, study.targets, frontend, labels, backend, buckets[frontend], known)
            first = buckets[frontend][0].scores
            intact = Answers(first.max(axis=1), first.argmax(axis=1) == labels)
            for target in study.targets:
                rows = {b.lost_frac: _find(table, target, b.lost_frac) for b in buckets[frontend]}
                if not rows[0.0].margin:
                    continue
                known_taus = {edge: tau_of(row) for edge, row in rows.items()}
                clean, _ = mixture(intact, right, test, known_taus[0.0])
                for place, case in enumerate(cases[frontend]):
                    for aware in (True, False):
                        tau = taus_of(known_taus, case.shares[test]) if aware else known_taus[0.0]
                        accuracy, offload = mixture(case.answers, right, test, tau)
                        found.setdefault((frontend, target, place, aware), []).append(
                            (accuracy, offload, clean)
                        )
    return [
        _row(
            frontend, target, case, aware, len(labels) - half, found.get((frontend, target, place, aware), [])
        )
        for frontend in study.frontends
        for target in study.targets
        for place, case in enumerate(cases[frontend])
        for aware in (True, False)
    ]


def table_of(
    study: LossStudy,
    targets: Sequence[float],
    frontend: str,
    labels: NDArray[np.int64],
    backend: NDArray[np.float32],
    buckets: Sequence[Bucket],
    known: NDArray[np.intp],
) -> ThresholdTable:
    """Thresholds of all buckets for these targets, from the known images."""
    return merge(
        *(
            calibrate(
                TASK,
                labels=labels[known],
                frontends={frontend: [bucket.scores[known]]},
                backend=study.backend,
                backend_scores=backend[known],
                targets=targets,
                z=study.z,
                lost_frac=bucket.lost_frac,
            )
            for bucket in buckets
        )
    )


def _find(table: ThresholdTable, target: float, lost_frac: float) -> Threshold:
    """The policy's own choice among the rows."""
    (row,) = table.find(TASK, target, lost_frac)
    return row


def tau_of(row: Threshold) -> float:
    """How sure an answer must be; never sure enough where the plan is the backend alone."""
    return np.inf if row.tau is None else row.tau


def taus_of(rows: Mapping[float, float], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The threshold for each picture: of the smallest bucket that covers its loss; beyond all, none is enough."""
    edges = np.array(sorted(rows))
    taus = np.array([*(rows[edge] for edge in edges.tolist()), np.inf])
    found: NDArray[np.float64] = taus[np.searchsorted(edges, shares - 1e-9)]
    return found


def mixture(
    edge: Answers, backend: NDArray[np.bool_], test: NDArray[np.intp], tau: float | NDArray[np.float64]
) -> tuple[float, float]:
    """Accuracy, and the share that the backend answers."""
    stands = edge.confidence[test] >= tau
    return float(np.where(stands, edge.right[test], backend[test]).mean()), float(1.0 - stands.mean())


def _row(
    frontend: str, target: float, case: Case, aware: bool, n: int, found: list[tuple[float, float, float]]
) -> ThresholdRow:
    accuracy, offload, clean = np.array(found).T if found else np.zeros((3, 0))
    drops = 100 * (clean - accuracy)
    low, high = np.quantile(drops, [0.025, 0.975]).tolist() if found else (None, None)
    return ThresholdRow(
        frontend=frontend,
        target=target,
        pattern=case.pattern,
        loss=case.loss,
        aware=aware,
        n=n,
        promised=len(found),
        accuracy=float(accuracy.mean()) if found else None,
        offload_frac=float(offload.mean()) if found else None,
        whole_accuracy=float(clean.mean()) if found else None,
        drop_pt=float(drops.mean()) if found else None,
        drop_low_pt=low,
        drop_high_pt=high,
    )
