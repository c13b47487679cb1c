"""How well a virtual board kept the service times it was asked to take."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.units import to_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.model.execution import Step

LIMIT_FRAC = 0.05
"""A P99 is withheld where the pace error's own p99 exceeds this share of the service time's median."""


class Pace(Struct, frozen=True, kw_only=True):
    """Pace error |actual - asked| of one board over ``n`` executions; ``bias_ms`` keeps the sign (median)."""

    board: str
    n: int
    p50_ms: float
    p99_ms: float
    bias_ms: float
    service_p50_ms: float

    @property
    def relative_p99_frac(self) -> float:
        """The error's p99 against the median of the service time asked for."""
        return self.p99_ms / self.service_p50_ms if self.service_p50_ms > 0 else float("inf")

    @property
    def acceptable(self) -> bool:
        """A P99 that rests on this board may be shown."""
        return self.relative_p99_frac <= LIMIT_FRAC


def pace_errors(steps: Iterable[Step]) -> dict[str, Pace]:
    """Pace error by board, of boards that were asked to keep a pace; an executed batch counts once."""
    paces = Paces()
    paces.add(steps)
    return paces.errors()


class Paces:
    """As `pace_errors`, from steps that come some at a time; no step is kept."""

    def __init__(self) -> None:
        """None yet."""
        self._actual: dict[str, array[int]] = {}
        self._asked: dict[str, array[int]] = {}
        self._seen: set[tuple[int, int]] = set()

    def add(self, steps: Iterable[Step]) -> None:
        """Take in some steps."""
        for step in steps:
            if step.asked_service is None or step.started is None or step.finished is None:
                continue
            if step.batch > 1:  # action numbers may start anew with a trial, the board's stamps do not repeat
                execution = (step.action, step.started)
                if execution in self._seen:
                    continue
                self._seen.add(execution)
            self._actual.setdefault(step.board, array("q")).append(step.finished - step.started)
            self._asked.setdefault(step.board, array("q")).append(step.asked_service)

    def errors(self) -> dict[str, Pace]:
        """By board."""
        return {
            board: _pace(board, np.asarray(actual), np.asarray(self._asked[board]))
            for board, actual in sorted(self._actual.items())
        }


def _pace(
    board: str,
    actual: np.ndarray[tuple[int], np.dtype[np.int64]],
    asked: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> Pace:
    error = actual - asked
    p50, p99 = np.quantile(np.abs(error), [0.5, 0.99])
    return Pace(
        board=board,
        n=int(error.size),
        p50_ms=to_ms(float(p50)),
        p99_ms=to_ms(float(p99)),
        bias_ms=to_ms(float(np.median(error))),
        service_p50_ms=to_ms(float(np.median(asked))),
    )


def why_withhold(used: Iterable[str], paces: Mapping[str, Pace]) -> str:
    """Why a P99 that rests on these boards must not be shown, or an empty string."""
    bad = [paces[board] for board in sorted(set(used)) if board in paces and not paces[board].acceptable]
    return "; ".join(
        f"{p.board}: pace error p99 {p.p99_ms:.3g} ms is {p.relative_p99_frac:.0%} of the median service time "
        f"({p.service_p50_ms:.3g} ms), limit {LIMIT_FRAC:.0%}"
        for p in bad
    )
