"""Where to stand between accuracy and escalations: limits on loss, and thresholds that keep near what no loss gives.

A threshold keeps its target and no more. A frontend that is better than the target by itself may lose all of that
slack before the target is in danger, so that a target alone does not bound the drop. Two rules do. *limit*: a picture
that lost more than a share goes to the backend at once. *keep*: thresholds of what lost something are made for the
target, or for the accuracy that the thresholds without loss reach on the same calibration images less so many points,
whichever is more. *chosen*: in each split the loosest *keep* whose drop on the calibration half is within the goal
under every pattern; the test half has no say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.campaign.loss.thresholds import Answers, mixture, table_of, tau_of, taus_of
from testbed.policy.confidence import lower_bound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from testbed.campaign.loss.spec import LossStudy
    from testbed.campaign.loss.thresholds import Bucket, Case
    from testbed.policy.thresholds import Threshold

LIMIT, KEEP, CHOSEN = "limit", "keep", "chosen"

_Point = tuple[str, float]
_Taus = dict[float, float]


class OperatingRow(Struct, frozen=True, kw_only=True):
    """One rule for one frontend, target and pattern at the study's loss, means over the splits' test halves.

    Attributes:
        rule: ``limit``, ``keep`` or ``chosen``. value: the limit [share of a picture], or points kept within; for
            ``chosen`` the mean of what was chosen. promised: splits that count, as in ``ThresholdRow``.
        drop_pt: against the thresholds without loss on the same images [points]; drop_low_pt, drop_high_pt: where 95 %
            of the splits lie. known_drop_pt: the same drop on the calibration halves.
        offload_frac: answered by the backend, over the reliable path. whole_offload_frac: were nothing lost.
    """

    what: str = "operating"
    rule: str
    value: float
    frontend: str
    target: float
    pattern: str
    loss: float
    promised: int
    drop_pt: float | None
    drop_low_pt: float | None
    drop_high_pt: float | None
    known_drop_pt: float | None
    offload_frac: float | None
    whole_offload_frac: float | None


def operating_rows(
    study: LossStudy,
    labels: NDArray[np.int64],
    backend: NDArray[np.float32],
    buckets: Mapping[str, Sequence[Bucket]],
    cases: Mapping[str, Sequence[Case]],
) -> list[OperatingRow]:
    """In the order rule and value, frontend, target, pattern. Arguments as `threshold_rows` has them."""
    right = backend.argmax(axis=1) == labels
    half = len(labels) // 2
    points: list[_Point] = [(LIMIT, limit) for limit in study.limits]
    points += [(KEEP, points_) for points_ in sorted(study.keeps, reverse=True)]
    names = [*points, *([(CHOSEN, study.goal_pt)] if study.keeps else [])]
    found: dict[tuple[_Point, str, float, str], list[tuple[float, ...]]] = {}
    for split in range(study.splits if points else 0):
        order = np.random.default_rng([study.seed, 4, split]).permutation(len(labels))
        known, test = order[:half], order[half:]
        for frontend in study.frontends:
            mine = [case for case in cases[frontend] if case.loss == study.loss]
            first = buckets[frontend][0].scores
            intact = Answers(first.max(axis=1), first.argmax(axis=1) == labels)
            for target in study.targets:
                rows = _rows(study, frontend, labels, backend, buckets[frontend], known, target)
                if not rows[0.0].margin or not mine:
                    continue
                whole = tau_of(rows[0.0])
                clean = [mixture(intact, right, part, whole) for part in (test, known)]
                drops: dict[_Point, list[tuple[float, ...]]] = {}
                for point in points:
                    taus = _limited(rows, point[1]) if point[0] == LIMIT else None
                    if taus is None:
                        kept = float(
                            lower_bound(np.array([rows[0.0].acc_hat - point[1] / 100]), half, study.z)[0]
                        )
                        stricter = _rows(
                            study, frontend, labels, backend, buckets[frontend], known, max(target, kept)
                        )
                        taus = {edge: tau_of(row) for edge, row in stricter.items()} | {0.0: whole}
                    drops[point] = [
                        _outcome(case, right, (test, known), taus, clean, point[1]) for case in mine
                    ]
                if study.keeps:
                    drops[CHOSEN, study.goal_pt] = _chosen(study, drops)
                for point, outcomes in drops.items():
                    for case, outcome in zip(mine, outcomes, strict=True):
                        found.setdefault((point, frontend, target, case.pattern), []).append(outcome)
    return [
        _row(study, point, frontend, target, case.pattern, found.get((point, frontend, target, case.pattern)))
        for point in names
        for frontend in study.frontends
        for target in study.targets
        for case in cases[frontend]
        if case.loss == study.loss
    ]


def operating_figures(rows: Sequence[OperatingRow]) -> dict[str, float]:
    """``lossy_accuracy_drop_kept_pt``: worst mean drop of *chosen*; ``lossy_offload_kept_frac``: mean offload there."""
    mine = [row for row in rows if row.rule == CHOSEN and row.drop_pt is not None]
    if not mine:
        return {}
    return {
        "lossy_accuracy_drop_kept_pt": max(row.drop_pt or 0.0 for row in mine),
        "lossy_offload_kept_frac": float(np.mean([row.offload_frac or 0.0 for row in mine])),
        "whole_offload_frac": float(np.mean([row.whole_offload_frac or 0.0 for row in mine])),
    }


def _rows(
    study: LossStudy,
    frontend: str,
    labels: NDArray[np.int64],
    backend: NDArray[np.float32],
    buckets: Sequence[Bucket],
    known: NDArray[np.intp],
    target: float,
) -> dict[float, Threshold]:
    """The threshold of each bucket for one target."""
    table = table_of(study, (target,), frontend, labels, backend, buckets, known)
    return {row.lost_frac: row for row in table.rows}


def _limited(rows: Mapping[float, Threshold], limit: float) -> _Taus:
    """Buckets above the limit are for the backend."""
    return {edge: tau_of(row) if edge <= limit else np.inf for edge, row in rows.items()}


def _outcome(
    case: Case,
    right: NDArray[np.bool_],
    parts: tuple[NDArray[np.intp], NDArray[np.intp]],
    taus: _Taus,
    clean: Sequence[tuple[float, float]],
    value: float,
) -> tuple[float, ...]:
    """Drop on the test and the calibration half [points], offload with and without loss, and the rule's value."""
    seen = [mixture(case.answers, right, part, taus_of(taus, case.shares[part])) for part in parts]
    drop, known_drop = (100 * (whole - one) for (whole, _), (one, _) in zip(clean, seen, strict=True))
    return drop, known_drop, seen[0][1], clean[0][1], value


def _chosen(study: LossStudy, drops: Mapping[_Point, Sequence[tuple[float, ...]]]) -> list[tuple[float, ...]]:
    """Outcomes of the loosest *keep* within the goal on the calibration half; of the strictest one if none is."""
    keeps = [outcomes for (rule, _), outcomes in drops.items() if rule == KEEP]
    within = (outcomes for outcomes in keeps if max(known for _, known, *_ in outcomes) <= study.goal_pt)
    return list(next(within, keeps[-1]))


def _row(
    study: LossStudy,
    point: _Point,
    frontend: str,
    target: float,
    pattern: str,
    found: list[tuple[float, ...]] | None,
) -> OperatingRow:
    drop = known = offload = whole = low = high = None
    value = point[1]
    if found:
        drops, knowns, offloads, wholes, values = np.array(found).T
        drop, known, offload, whole, value = (
            float(column.mean()) for column in (drops, knowns, offloads, wholes, values)
        )
        low, high = np.quantile(drops, [0.025, 0.975]).tolist()
    return OperatingRow(
        rule=point[0],
        value=value,
        frontend=frontend,
        target=target,
        pattern=pattern,
        loss=study.loss,
        promised=len(found or ()),
        drop_pt=drop,
        drop_low_pt=low,
        drop_high_pt=high,
        known_drop_pt=known,
        offload_frac=offload,
        whole_offload_frac=whole,
    )
