"""Two runs side by side: what must agree, and how their figures differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from testbed.errors import StoreError
from testbed.measure.stats import (
    Estimate,
    block_length,
    difference,
    mean_of,
    missing,
    paired_difference,
    quantile_of,
)
from testbed.report import words
from testbed.report.columns import columns
from testbed.report.console import draw
from testbed.report.json import interval
from testbed.report.pairs import SEED, shared_places
from testbed.report.pooling import Pooling, pooling
from testbed.report.table import Table
from testbed.report.tables import analyse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from rich.console import RenderableType

    from testbed.report.columns import Columns
    from testbed.report.rows import Analysis, PolicyRow
    from testbed.store.reader import Run

SCHEMA = 1


class DifferenceRow(Struct, frozen=True, kw_only=True):
    """``second - first`` of one figure of one policy; ``paired`` over the same requests where there were any."""

    policy: str
    metric: str
    first: float | None
    second: float | None
    difference: Estimate
    paired: bool


class Comparison(Struct, frozen=True, kw_only=True):
    """How the second run differs from the first."""

    first: str
    second: str
    pooling: Pooling
    rows: tuple[DifferenceRow, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compare(first: Run, second: Run) -> Comparison:
    """Compare two runs policy by policy.

    Raises:
        StoreError: their schemas differ, or they have no policy in common.
    """
    if first.header.schema != second.header.schema:
        raise StoreError(
            f"schema {second.header.schema} does not compare with {first.header.schema}", file=second.folder
        )
    a, b = analyse(first), analyse(second)
    names_a, names_b = [row.policy for row in a.policies], [row.policy for row in b.policies]
    common = [name for name in names_a if name in names_b]
    if not common:
        raise StoreError(
            "no policy in common", file=second.folder, cure="Compare runs of the same experiment"
        )
    rows: list[DifferenceRow] = []
    for name in common:
        rows.extend(_rows(name, (first, a), (second, b)))
    return Comparison(
        first=a.folder,
        second=b.folder,
        pooling=pooling(first, second),
        rows=tuple(rows),
        only_first=tuple(name for name in names_a if name not in common),
        only_second=tuple(name for name in names_b if name not in common),
    )


def comparison_to_console(comparison: Comparison) -> list[RenderableType]:
    """What does not agree, then the differences."""
    found = comparison.pooling
    flags = Table(
        title="What differs between the runs",
        head=("what", "pooling", "comparing", "first", "second"),
        body=tuple(
            (
                check.what,
                "forbidden" if check.pooling else "allowed",
                "not of like with like" if check.comparing else "allowed",
                check.first or words.NONE,
                check.second or words.NONE,
            )
            for check in found.differing
        ),
        names=5,
        remarks=("differences below are not of like with like",)
        if any(check.comparing for check in found.differing)
        else (),
    )
    table = Table(
        title=f"{comparison.second} - {comparison.first}",
        head=("policy", "metric", "first", "second", "difference", "over"),
        body=tuple(
            (
                row.policy,
                row.metric,
                words.number(row.first),
                words.number(row.second),
                words.estimated(row.difference, signed=True),
                f"{row.difference.n} {'pairs' if row.paired else 'requests'}",
            )
            for row in comparison.rows
        ),
        names=2,
        remarks=(
            *(f"only in the first: {name}" for name in comparison.only_first),
            *(f"only in the second: {name}" for name in comparison.only_second),
            *dict.fromkeys(
                f"withheld: {r.difference.reason}" for r in comparison.rows if r.difference.value is None
            ),
        ),
    )
    return [*(draw(flags) if flags.body else []), f"Pooling: the runs {found.verdict}.", *draw(table)]


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """The document that ``testbed compare --json`` prints."""
    return {
        "schema": SCHEMA,
        "first": comparison.first,
        "second": comparison.second,
        "pooling": {
            "may": comparison.pooling.may,
            "reasons": list(comparison.pooling.reasons),
            "verdict": comparison.pooling.verdict,
        },
        "disagreements": [
            {
                "what": check.what,
                "first": check.first,
                "second": check.second,
                "pooling": check.pooling,
                "fatal": check.comparing,
            }
            for check in comparison.pooling.differing
        ],
        "differences": [
            {
                "policy": row.policy,
                "metric": row.metric,
                "first": row.first,
                "second": row.second,
                "difference": row.difference.value,
                "ci": interval(row.difference),
                "n": row.difference.n,
                "paired": row.paired,
                "reason": row.difference.reason or None,
            }
            for row in comparison.rows
        ],
    }


def _rows(name: str, one: tuple[Run, Analysis], two: tuple[Run, Analysis]) -> list[DifferenceRow]:
    attempts = [[t for t in run.trials if t.start.policy == name] for run, _ in (one, two)]
    a, b = (columns(list(chosen)) for chosen in attempts)
    row_a, row_b = (next(r for r in analysis.policies if r.policy == name) for _, analysis in (one, two))
    hashes = [{(t.start.block, t.start.arrivals_sha256) for t in chosen} for chosen in attempts]
    paired = hashes[0] == hashes[1]
    if row_a.reason or row_b.reason:
        gap = missing(f"{name} does not count ({row_a.reason or row_b.reason})")
        return [
            DifferenceRow(policy=name, metric=metric, first=None, second=None, difference=gap, paired=paired)
            for metric in ("p99_ms", "mean_ms", "accuracy")
        ]
    tail = _difference(a, b, "response_ms", quantile_of(0.99), paired=paired)
    withheld = [row.p99_ms for row in (row_a, row_b) if row.p99_ms.value is None]
    answered_a, answered_b = a.response_ms[a.answered], b.response_ms[b.answered]
    return [
        DifferenceRow(
            policy=name,
            metric="p99_ms",
            first=row_a.p99_ms.value,
            second=row_b.p99_ms.value,
            difference=withheld[0] if withheld else tail,
            paired=paired,
        ),
        DifferenceRow(
            policy=name,
            metric="mean_ms",
            first=_mean(answered_a),
            second=_mean(answered_b),
            difference=_difference(a, b, "response_ms", mean_of, paired=paired),
            paired=paired,
        ),
        DifferenceRow(
            policy=name,
            metric="accuracy",
            first=row_a.accuracy.value,
            second=row_b.accuracy.value,
            difference=_difference(a, b, "right", mean_of, paired=paired),
            paired=paired,
        ),
        _energy(name, row_a, row_b),
    ]


def _difference(
    a: Columns,
    b: Columns,
    field: str,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    paired: bool,
) -> Estimate:
    """``b - a`` of a statistic over a column."""
    values_a, values_b = (np.asarray(getattr(side, field), dtype=np.float64) for side in (a, b))
    ok_a, ok_b = (side.known if field == "right" else side.answered for side in (a, b))
    if not paired:
        return difference(
            values_b[ok_b], values_a[ok_a], statistic, seed=SEED, block=_block(ok_a.sum(), ok_b.sum())
        )
    ia, ib = shared_places(a, b)
    both = ok_a[ia] & ok_b[ib]
    block = 1 if field == "right" else _block(both.sum())
    return paired_difference(values_b[ib][both], values_a[ia][both], statistic, seed=SEED, block=block)


def _block(*counts: int) -> int:
    return block_length(int(min(counts))) if min(counts) > 0 else 1


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if values.size else None


def _energy(name: str, a: PolicyRow, b: PolicyRow) -> DifferenceRow:
    """Net energy a request; the interval is 1.96 times both uncertainties combined."""
    one, two = a.energy, b.energy
    if one.net_mj is None or two.net_mj is None:
        estimate = missing((one if one.net_mj is None else two).reason)
    elif one.scope != two.scope or one.origin != two.origin:
        estimate = missing("the energies cover different things, or are of different origin")
    else:
        value = two.net_mj - one.net_mj
        half = 1.96 * float(np.hypot(one.sigma_mj or 0.0, two.sigma_mj or 0.0))
        estimate = Estimate(value=value, low=value - half, high=value + half, n=min(a.answered, b.answered))
    return DifferenceRow(
        policy=name, metric="net_mj", first=one.net_mj, second=two.net_mj, difference=estimate, paired=False
    )
