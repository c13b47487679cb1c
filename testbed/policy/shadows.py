"""Shadows: confident answers that the data centre is asked about too, after they were given, for the drift guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.policy.guard import DriftGuard
from testbed.policy.judging import coin

if TYPE_CHECKING:
    from collections.abc import Collection

    from testbed.model.ids import BoardId, RequestId
    from testbed.model.request import Request
    from testbed.model.view import View
    from testbed.policy.thresholds import Threshold, ThresholdTable


class Shadows:
    """Which requests have one, and what the drift guard makes of them once they have ended.

    Attributes:
        cast: whether there are any at all.
    """

    def __init__(self, table: ThresholdTable, dc: Collection[BoardId], frac: float, seed: int) -> None:
        """None yet.

        Args:
            dc: the data centre's boards. frac: share of the confident answers to check.
        """
        self.cast = frac > 0.0
        self._guard = DriftGuard(table)
        self._dc = dc
        self._frac = frac
        self._seed = seed
        self._rows: dict[RequestId, Threshold] = {}
        self._heard = 0

    def __contains__(self, request: RequestId) -> bool:
        """Whether a request is being checked."""
        return request in self._rows

    def row(self, row: Threshold) -> Threshold:
        """The row to go by now."""
        return self._guard.row(row)

    def wanted(self, request: Request, row: Threshold) -> bool:
        """Whether an answer that stands by this row is to be checked; the same whenever it is asked."""
        return row.agreement is not None and coin(self._seed, "shadow", request) < self._frac

    def begin(self, request: Request, row: Threshold) -> None:
        """The data centre is being asked; the request ends with what both said."""
        self._rows[request.id] = row

    def hear(self, view: View) -> tuple[str, ...]:
        """Learn from the shadows that have ended since; what was changed."""
        new = min(view.finished_count - self._heard, len(view.finished)) if self._rows else 0
        self._heard = view.finished_count
        notes = []
        for i in range(new, 0, -1):
            end = view.finished[-i]
            row = self._rows.pop(end.request.id, None)
            if row is None:
                continue
            edge = [s for s in end.steps if s.ok and s.board not in self._dc]
            backend = [s for s in end.steps if s.ok and s.board in self._dc]
            if edge and backend:
                notes.append(self._guard.saw(row, edge[-1].label == backend[-1].label))
        return tuple(note for note in notes if note)
