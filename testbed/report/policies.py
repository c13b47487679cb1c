"""The figures of each policy and accuracy target."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from testbed.measure.clocksync import ClockBook
from testbed.measure.environment import contended
from testbed.measure.pace import Pace, why_withhold
from testbed.measure.stats import Estimate, missing, quantile, wilson_of
from testbed.model.ids import BoardId
from testbed.model.lab import BoardFacts
from testbed.model.origin import Origin, weakest
from testbed.report.columns import Columns
from testbed.report.meters import Reading
from testbed.report.rows import CancelRow, EnergyRow, PolicyRow, TargetRow, no_energy
from testbed.report.steps import Steps
from testbed.store.reader import Attempt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Material(Struct, frozen=True, kw_only=True):
    """One policy's share of a run, prepared once for every table.

    Attributes:
        attempts, clocks, readings (of every meter, by board): side by side. boards: facts by board.
        contended: boards whose figures met contention here.
        steps: every step of the analysed records.
        worked: boards that started something, by attempt. stamps: ends of what was executed on a board's own clock
            [ns], by (board, boot), of attempts whose clocks were probed; both with what came in a warm-up.
    """

    policy: str
    attempts: tuple[Attempt, ...]
    clocks: tuple[ClockBook, ...]
    readings: tuple[dict[BoardId, tuple[Reading, ...]], ...]
    boards: dict[str, BoardFacts]
    contended: frozenset[str]
    columns: Columns
    steps: Steps
    paces: dict[str, Pace]
    cancels: tuple[CancelRow, ...]
    worked: tuple[frozenset[BoardId], ...]
    stamps: tuple[dict[tuple[BoardId, int], NDArray[np.int64]], ...]

    @property
    def reason(self) -> str:
        """Why the figures do not count, or an empty string."""
        bad = [f"{a.start.trial}: {a.status}" for a in self.attempts if not a.counts]
        return "; ".join(bad)

    @property
    def answering(self) -> frozenset[str]:
        """Boards that an answer rests on."""
        return frozenset(board for board in self.columns.board if board)


def contended_boards(attempts: Sequence[Attempt]) -> dict[str, str]:
    """Boards that run on the coordinator's own host while it was contended, and why that is said."""
    found: dict[str, str] = {}
    for attempt in attempts:
        for use in attempt.host:
            why = contended(use)
            if not why:
                continue
            for facts in attempt.boards:
                if facts.origin == Origin.MEASURED.value and facts.boot_id == use.boot_id and use.boot_id:
                    found[facts.id] = why
    return found


def policy_row(
    material: Material, energy: EnergyRow, by_target: Mapping[float | None, EnergyRow] | None = None
) -> PolicyRow:
    """All figures of one policy.

    Args:
        energy: of all its requests. by_target: of those that asked for one accuracy.
    """
    data = material.columns
    everything = np.ones(data.size, dtype=np.bool_)
    whole = _target_row(data, everything, None, energy)
    outcomes = Counter(outcome.value for outcome in data.outcome)
    unfinished = sum(a.unfinished for a in material.attempts)
    if unfinished:
        outcomes["unfinished"] += unfinished
    targets = sorted({float(t) for t in data.target[~np.isnan(data.target)]})
    found = by_target or {}
    rows = [_target_row(data, data.target == target, target, found.get(target)) for target in targets]
    if targets and bool(np.isnan(data.target).any()):
        rows.append(_target_row(data, np.isnan(data.target), None, found.get(None)))
    return PolicyRow(
        policy=material.policy,
        trials=tuple(a.start.trial for a in material.attempts),
        reason=material.reason,
        requests=data.size + unfinished,
        outcomes=dict(sorted(outcomes.items())),
        answered=whole.answered,
        late=int((data.missed & data.answered).sum()),
        accuracy=whole.accuracy,
        offload_frac=whole.offload_frac,
        p50_ms=whole.p50_ms,
        p95_ms=whole.p95_ms,
        p99_ms=_p99(material),
        deadline_miss_frac=whole.deadline_miss_frac,
        energy=energy,
        response_origin=_response_origin(material),
        answers=dict(sorted(Counter(board for board in data.board if board).items())),
        lateness_p50_ms=_at(data.lateness_ms, 0.5),
        lateness_p99_ms=_at(data.lateness_ms, 0.99),
        targets=tuple(rows),
    )


def accuracy_of(right: NDArray[np.bool_], sample: NDArray[np.int64]) -> Estimate:
    """Share right, its interval counting each input once however often it was asked.

    Args:
        right: shape (n,). sample: input index of each, same shape.
    """
    if right.size == 0:
        return missing("no answer whose truth is known")
    return wilson_of(float(right.mean()), int(right.size), float(np.unique(sample).size))


def _target_row(
    data: Columns, rows: NDArray[np.bool_], target: float | None, energy: EnergyRow | None
) -> TargetRow:
    answered = rows & data.answered
    known = rows & data.known
    with_deadline = rows & data.deadline
    count = int(answered.sum())
    return TargetRow(
        target=target,
        requests=int(rows.sum()),
        answered=count,
        accuracy=accuracy_of(data.right[known], data.sample[known]),
        offload_frac=float(data.offloaded[answered].mean()) if count else None,
        p50_ms=_at(data.response_ms[answered], 0.5),
        p95_ms=_at(data.response_ms[answered], 0.95),
        deadline_miss_frac=float(data.missed[with_deadline].mean()) if bool(with_deadline.any()) else None,
        energy=energy if energy is not None else no_energy("not attributed to single targets here"),
    )


def _p99(material: Material) -> Estimate:
    """The p99 of the response time, or why it must not be shown."""
    if material.reason:
        return missing(f"does not count ({material.reason})")
    withheld = why_withhold(material.answering, material.paces)
    if withheld:
        return missing(withheld, int(material.columns.answered.sum()))
    return quantile(material.columns.response_ms[material.columns.answered], 0.99)


def _response_origin(material: Material) -> str:
    origins = [o for board in material.answering for o in material.steps.origins.get(board, ())]
    return weakest(origins).value if origins else ""


def _at(values: NDArray[np.float64], q: float) -> float | None:
    return float(np.quantile(values, q)) if values.size else None
