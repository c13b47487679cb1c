"""Differences between policies over the requests that both answered: same arrivals, same inputs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from testbed.measure.stats import (
    Estimate,
    block_length,
    mcnemar,
    mean_of,
    missing,
    paired_difference,
    quantile_of,
)
from testbed.report.rows import PairRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testbed.report.columns import Columns
    from testbed.report.policies import Material
    from testbed.report.rows import PolicyRow

SEED = 20_259
"""Of the bootstrap: the same run folder always gives the same report."""


def pair_rows(materials: Sequence[Material], rows: Sequence[PolicyRow]) -> tuple[PairRow, ...]:
    """Every policy against every later one: p99 and mean response time, accuracy."""
    p99 = {row.policy: row.p99_ms for row in rows}
    made: list[PairRow] = []
    for a, b in itertools.combinations(materials, 2):
        why = _why_not(a, b)
        if why:
            made.extend(
                PairRow(first=a.policy, second=b.policy, metric=metric, difference=missing(why))
                for metric in ("p99_ms", "mean_ms", "accuracy")
            )
            continue
        made.extend(_compare(a.policy, b.policy, a.columns, b.columns, p99[a.policy], p99[b.policy]))
    return tuple(made)


def shared_places(a: Columns, b: Columns) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of the requests that both have, in the order of ``a``."""
    span = 1 + max((int(side.request.max()) for side in (a, b) if side.size), default=0)
    one, two = (side.block * span + side.request for side in (a, b))
    _, ia, ib = np.intersect1d(one, two, assume_unique=True, return_indices=True)
    order = np.argsort(ia)
    return ia[order], ib[order]


def _compare(
    first: str, second: str, a: Columns, b: Columns, p99_a: Estimate, p99_b: Estimate
) -> list[PairRow]:
    ia, ib = shared_places(a, b)
    both = a.answered[ia] & b.answered[ib]
    one, two = a.response_ms[ia][both], b.response_ms[ib][both]
    block = block_length(one.size) if one.size else 1
    hidden = [name for name, estimate in ((first, p99_a), (second, p99_b)) if estimate.value is None]
    if hidden:
        tail = missing(f"the p99 of {' and of '.join(hidden)} is withheld", int(one.size))
    else:
        tail = paired_difference(one, two, quantile_of(0.99), seed=SEED, block=block)
    known = a.known[ia] & b.known[ib]
    right_a, right_b = a.right[ia][known], b.right[ib][known]
    return [
        PairRow(first=first, second=second, metric="p99_ms", difference=tail),
        PairRow(
            first=first,
            second=second,
            metric="mean_ms",
            difference=paired_difference(one, two, mean_of, seed=SEED, block=block),
        ),
        PairRow(
            first=first,
            second=second,
            metric="accuracy",
            difference=paired_difference(
                right_a.astype(np.float64), right_b.astype(np.float64), mean_of, seed=SEED
            ),
            p_value=mcnemar(right_a, right_b) if right_a.size else None,
        ),
    ]


def _why_not(a: Material, b: Material) -> str:
    """Why two policies cannot be paired, or an empty string."""
    if a.reason or b.reason:
        return f"does not count ({'; '.join(r for r in (a.reason, b.reason) if r)})"
    seen_a = {attempt.start.block: attempt.start.arrivals_sha256 for attempt in a.attempts}
    seen_b = {attempt.start.block: attempt.start.arrivals_sha256 for attempt in b.attempts}
    if seen_a.keys() != seen_b.keys():
        return "they ran in different blocks"
    if seen_a != seen_b:
        return "their arrivals or inputs differ"
    return ""
