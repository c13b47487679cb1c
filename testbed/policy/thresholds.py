"""What calibration found, as data: per frontend and accuracy target, how sure an answer must be to stand.

Rows are made by `testbed.policy.confidence.calibrate` and read by policies.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.errors import ConfigError, did_you_mean
from testbed.model.ids import ModelId, TaskId
from testbed.policy.metrics import Metric
from testbed.policy.metrics import confidence as metric_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class PlanKind(enum.Enum):
    """Who answers."""

    EDGE_ONLY = "edge_only"
    CASCADE = "cascade"
    DC_ONLY = "dc_only"
    INFEASIBLE = "infeasible"


class Threshold(Struct, frozen=True, kw_only=True):
    """What one frontend does for one target.

    Attributes:
        tau: least confidence at which the edge answers; 0 always, ``None`` never.
        exits: `ExitRule.min_confidence` for the frontend; empty runs to the last exit.
        exit_frac: share of the calibration samples that left at each exit.
        p_off: share of the calibration samples that went to the backend.
        acc_hat, lcb: accuracy of the mixture and its lower bound; for INFEASIBLE, the best on offer.
        backend_accuracy: of the backend alone, on the same samples.
        margin: whether the lower bound reaches the target, and not only the estimate.
        n: calibration samples. z: standard errors between ``acc_hat`` and ``lcb``.
        metric, temperature: what ``tau`` is compared with, read off the scores of the exit taken.
        agreement: share of the answers that stand with which the backend agrees; ``None`` where none stands.
        lost_frac: the row holds for inputs of which up to this share was lost on the way.
    """

    task: TaskId
    frontend: ModelId
    backend: ModelId
    target: float
    plan: PlanKind
    tau: float | None
    exits: tuple[float, ...]
    exit_frac: tuple[float, ...]
    p_off: float
    acc_hat: float
    lcb: float
    margin: bool
    backend_accuracy: float
    n: int
    z: float
    metric: Metric = Metric.MAX_SOFTMAX
    temperature: float = 1.0
    agreement: float | None = None
    lost_frac: float = 0.0
    frontend_sha256: tuple[str, ...] = ()
    backend_sha256: tuple[str, ...] = ()
    dataset_sha256: str = ""

    def stands(self, confidence: float, scores: Sequence[float] | None) -> bool:
        """Whether an answer of this frontend is sure enough.

        Args:
            confidence: its max softmax. scores: its probabilities, needed by other metrics; without them it does
            not stand.
        """
        if self.tau is None:
            return False
        if self.metric is not Metric.MAX_SOFTMAX or self.temperature != 1.0:
            if self.tau <= 0.0:
                return True
            if scores is None:
                return False
            confidence = metric_of(scores, self.metric, self.temperature)
        return confidence >= self.tau


class ThresholdTable(Struct, frozen=True, kw_only=True):
    """All rows, in order of task, frontend and target; plain data, so that it can be kept as JSON."""

    rows: tuple[Threshold, ...]
    schema: int = 1

    def targets(self, task: TaskId) -> tuple[float, ...]:
        """Calibrated targets of a task, rising."""
        return tuple(sorted({row.target for row in self.rows if row.task == task}))

    def find(self, task: TaskId, target: float, lost_frac: float = 0.0) -> tuple[Threshold, ...]:
        """Rows, one a frontend, for the smallest calibrated target that is at least the one asked for.

        Of several loss buckets the smallest that covers ``lost_frac``; a frontend without one is left out.
        """
        enough = next((t for t in self.targets(task) if t >= target), None)
        rows = [r for r in self.rows if r.task == task and r.target == enough and r.lost_frac >= lost_frac]
        best: dict[ModelId, Threshold] = {}
        for row in sorted(rows, key=lambda r: (r.frontend, r.lost_frac)):
            best.setdefault(row.frontend, row)
        return tuple(best.values())

    def best(self, task: TaskId) -> float | None:
        """Highest lower bound on offer without loss, or ``None`` for an unknown task."""
        return max((row.lcb for row in self.rows if row.task == task and not row.lost_frac), default=None)

    def only(self, frontends: Collection[ModelId]) -> ThresholdTable:
        """The same without the rows of other frontends.

        Raises:
            ConfigError: one of them was not calibrated.
        """
        known = {row.frontend for row in self.rows}
        for name in frontends:
            if name not in known:
                cure = did_you_mean(name, known)
                raise ConfigError(f"no thresholds of {name!r}", key="options.frontends", cure=cure)
        return ThresholdTable(rows=tuple(row for row in self.rows if row.frontend in frontends))


def merge(*tables: ThresholdTable) -> ThresholdTable:
    """One table of several."""
    return ThresholdTable(rows=tuple(row for table in tables for row in table.rows))
