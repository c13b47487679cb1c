"""The gap between a live run and the same campaign in virtual time: what the bench added to the model.

Requests pair by id, so arrivals, inputs and targets cancel; what is left is what the model does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.errors import StoreError
from testbed.measure.stats import Estimate, block_length, mean_of, missing, paired_difference, quantile_of
from testbed.model.origin import Origin
from testbed.report.energies import energy_row, known_boards
from testbed.report.gap.rows import (
    CIRCULAR,
    EARLIER_RUN,
    GIVEN_PROFILE,
    OTHER_PROFILE,
    SAME_RUN,
    BoardGap,
    Gap,
    GapRow,
    PolicyGap,
)
from testbed.report.materials import materials
from testbed.report.pairs import SEED, shared_places
from testbed.report.policies import policy_row
from testbed.report.pooling import measured_at_start
from testbed.report.split import TERMS, split, ways_of
from testbed.units import MS, Ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.model.ids import BoardId
    from testbed.report.policies import Material
    from testbed.report.rows import PolicyRow
    from testbed.store.reader import Run

    Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def gap(live: Run, virtual: Run) -> Gap:
    """Compare a live run with the same campaign in virtual time.

    Raises:
        StoreError: they are not a live run and one in virtual time, or not of the same requests.
    """
    source = virtual.header.after
    if live.header.after is not None:
        raise StoreError("was played in virtual time", file=live.folder, cure="Name the live run first")
    if source is None:
        raise StoreError("is a live run", file=virtual.folder, cure="Name a run in virtual time second")
    one, two = ({m.policy: m for m in materials(run)} for run in (live, virtual))
    for policy in one:
        if policy not in two or _fingerprints(one[policy]) != _fingerprints(two[policy]):
            raise StoreError(
                f"{policy} was not played on the same arrivals and inputs as in {live.folder}",
                file=virtual.folder,
                cure="Play the same experiment with the same seed in virtual time",
            )
    source_is_live = (source.run, source.created) == (live.header.run, live.header.created)
    return Gap(
        live=str(live.folder),
        virtual=str(virtual.folder),
        live_run=live.header.run,
        source=source,
        source_is_live=source_is_live,
        policies=tuple(_policy(one[name], two[name]) for name in one),
        boards=tuple(_boards(live, virtual, list(one.values()), source_is_live=source_is_live)),
    )


def _fingerprints(material: Material) -> dict[int, str]:
    return {a.start.block: a.start.arrivals_sha256 for a in material.attempts}


def _policy(live: Material, virtual: Material) -> PolicyGap:
    a, b = live.columns, virtual.columns
    ia, ib = shared_places(a, b)
    block_of = a.block[ia]
    row_a = policy_row(live, energy_row(live))
    row_b = policy_row(virtual, energy_row(virtual))
    why = "; ".join(
        f"{side} does not count ({row.reason})"
        for side, row in (("live", row_a), ("virtual", row_b))
        if row.reason
    )
    both = a.answered[ia] & b.answered[ib]
    times = (a.response_ms[ia], b.response_ms[ib])

    def row(
        metric: str,
        columns: tuple[NDArray[np.float64], NDArray[np.float64]],
        use: NDArray[np.bool_],
        statistic: Statistic,
        hidden: str = "",
    ) -> GapRow:
        return _row(metric, columns[0][use], columns[1][use], block_of[use], statistic, why or hidden)

    known = a.known[ia] & b.known[ib]
    deadline = a.deadline[ia] & b.deadline[ib]
    withheld = row_a.p99_ms.reason if row_a.p99_ms.value is None else ""
    spent = _spent(live, virtual)
    lost = (a.lost_frac[ia], b.lost_frac[ib])
    losses = (row("lost_frac", lost, both, mean_of),) if any(side.any() for side in lost) else ()
    return PolicyGap(
        policy=live.policy,
        requests=int(ia.size),
        pairs=int(both.sum()),
        live_origin=row_a.response_origin,
        virtual_origin=row_b.response_origin,
        rows=(
            row("p50_ms", times, both, quantile_of(0.5)),
            row("p95_ms", times, both, quantile_of(0.95)),
            row("p99_ms", times, both, quantile_of(0.99), withheld),
            row("mean_ms", times, both, mean_of),
            row("offload_frac", (_f(a.offloaded[ia]), _f(b.offloaded[ib])), both, mean_of),
            row("deadline_miss_frac", (_f(a.missed[ia]), _f(b.missed[ib])), deadline, mean_of),
            *losses,
            row("accuracy", (_f(a.right[ia]), _f(b.right[ib])), known, mean_of),
            _energy(live, virtual, row_a, row_b),
        ),
        split=tuple(
            _row(term, spent.live[:, i], spent.virtual[:, i], spent.block, mean_of, why)
            for i, term in enumerate(TERMS)
        ),
        split_total=_row(
            "response", spent.live.sum(axis=1), spent.virtual.sum(axis=1), spent.block, mean_of, why
        ),
        split_pairs=int(spent.block.size),
        residual_ms=spent.residual_ms,
        same_path_frac=float(spent.same_path.mean()) if spent.same_path.size else None,
        bench=_bench(live),
    )


def _row(
    metric: str,
    live: NDArray[np.float64],
    virtual: NDArray[np.float64],
    block: NDArray[np.int64],
    statistic: Statistic,
    hidden: str = "",
) -> GapRow:
    if hidden or live.size < 2:
        return GapRow(
            metric=metric,
            live=None,
            virtual=None,
            difference=missing(hidden or f"{live.size} pairs are too few to compare", int(live.size)),
        )
    return GapRow(
        metric=metric,
        live=float(statistic(live)),
        virtual=float(statistic(virtual)),
        difference=paired_difference(
            live, virtual, statistic, seed=SEED, block=block_length(live.size), replicate=block
        ),
        by_block=tuple(
            float(statistic(live[block == b]) - statistic(virtual[block == b])) for b in np.unique(block)
        ),
    )


def _f(flags: NDArray[np.bool_]) -> NDArray[np.float64]:
    return flags.astype(np.float64)


def _energy(live: Material, virtual: Material, whole_a: PolicyRow, whole_b: PolicyRow) -> GapRow:
    """Energy above idle per answered request over the boards that both know; 1.96 times both uncertainties."""
    shared = known_boards(live) & known_boards(virtual)
    if not shared:
        lacking = whole_a.energy if whole_a.energy.net_mj is None else whole_b.energy
        return GapRow(
            metric="net_mj",
            live=whole_a.energy.net_mj,
            virtual=whole_b.energy.net_mj,
            difference=missing(lacking.reason or "no board whose energy both sides know"),
        )
    one, two = energy_row(live, shared), energy_row(virtual, shared)
    n = min(whole_a.answered, whole_b.answered)
    if one.net_mj is None or two.net_mj is None:
        estimate = missing((one if one.net_mj is None else two).reason, n)
    elif one.sigma_mj is None or two.sigma_mj is None:
        estimate = Estimate(
            value=one.net_mj - two.net_mj, n=n, reason="a profile gives its power no uncertainty"
        )
    else:
        value, half = one.net_mj - two.net_mj, 1.96 * float(np.hypot(one.sigma_mj, two.sigma_mj))
        estimate = Estimate(value=value, low=value - half, high=value + half, n=n)
    return GapRow(metric="net_mj", live=one.net_mj, virtual=two.net_mj, difference=estimate)


class _Spent(Struct, frozen=True):
    """Terms of the pairs whose stamps tell on both sides [ms], (n, 4) each."""

    live: NDArray[np.float64]
    virtual: NDArray[np.float64]
    block: NDArray[np.int64]
    same_path: NDArray[np.bool_]
    residual_ms: float | None


def _spent(live: Material, virtual: Material) -> _Spent:
    ways = ways_of(live.attempts)  # the model's link has the same way: it was taken from such probes
    ia, ib = shared_places(live.columns, virtual.columns)
    terms_a, known_a, paths_a = _split_all(live, ways)
    terms_b, known_b, paths_b = _split_all(virtual, ways)
    use = known_a[ia] & known_b[ib]
    ia, ib = ia[use], ib[use]
    a, b = terms_a[ia], terms_b[ib]
    residual = None
    if ia.size:
        # In whole nanoseconds: what the terms' gaps leave of the gap of the response times as recorded.
        responses = _responses(live)[ia] - _responses(virtual)[ib]
        residual = int(responses.sum() - (a - b).sum()) / ia.size / MS
    return _Spent(
        a / MS,
        b / MS,
        live.columns.block[ia],
        np.asarray([paths_a[i] == paths_b[j] for i, j in zip(ia, ib, strict=True)], dtype=np.bool_),
        residual,
    )


def _split_all(
    material: Material, ways: dict[BoardId, Ns]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[tuple[BoardId, ...]]]:
    """Terms of all requests in the order of the material's columns."""
    parts = [split(attempt, ways) for attempt in sorted(material.attempts, key=lambda a: a.start.block)]
    return (
        np.concatenate([terms for terms, _, _ in parts]),
        np.concatenate([known for _, known, _ in parts]),
        [path for _, _, paths in parts for path in paths],
    )


def _responses(material: Material) -> NDArray[np.int64]:
    """Response times as recorded [ns], in the order of the columns."""
    return np.rint(material.columns.response_ms * MS).astype(np.int64)


def _bench(live: Material) -> str:
    """Boards whose live times are no silicon's own, or were taken on a host that was busy with something else."""
    boards = sorted(live.answering)
    emulated = [b for b in boards if live.boards[b].origin != Origin.MEASURED.value]
    contended = [b for b in boards if b in live.contended]
    parts = []
    if emulated:
        parts.append(f"{', '.join(emulated)} only emulated")
    if contended:
        parts.append(f"{', '.join(contended)} measured on cores shared with what is emulated (contended)")
    return "; ".join(parts)


def _boards(live: Run, virtual: Run, policies: list[Material], *, source_is_live: bool) -> list[BoardGap]:
    facts = {board: f for material in policies for board, f in material.boards.items()}
    contended = {board for material in policies for board in material.contended}
    at_start = measured_at_start(virtual.header)
    rows = []
    for board, models in virtual.header.known.items():
        for model, profile in models.items():
            seen = facts.get(board)
            if seen is None:
                continue
            key = f"{board}/{model}"
            if seen.origin == Origin.EMULATED.value:
                same = live.header.profiles.get(key) == virtual.header.profiles.get(key)
                relation = CIRCULAR if same else OTHER_PROFILE
            elif board not in at_start:
                relation = GIVEN_PROFILE
            else:
                relation = SAME_RUN if source_is_live else EARLIER_RUN
            rows.append(
                BoardGap(
                    board=board,
                    model=model,
                    live_origin=Origin.CONTENDED.value if board in contended else seen.origin,
                    live_link_origin=seen.link_origin,
                    profile_origin=", ".join(dict.fromkeys(s.origin.value for s in profile.service)),
                    relation=relation,
                )
            )
    return rows
