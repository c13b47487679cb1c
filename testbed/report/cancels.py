"""What became of orders that were called off, and the work that was done for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.model.execution import CANCEL_STAGES
from testbed.report.rows import CancelRow
from testbed.units import to_s

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.model.ids import BoardId
    from testbed.model.record import RequestRecord
    from testbed.units import Ns

TOO_LATE = CANCEL_STAGES[-1]


class Cancels:
    """Takes records of one policy in; no record is kept."""

    def __init__(self) -> None:
        """None yet."""
        self._found: dict[BoardId, dict[str, int]] = {}
        self._busy: dict[BoardId, float] = {}
        self._vain: dict[BoardId, float] = {}

    def add(self, records: Iterable[RequestRecord]) -> None:
        """Take in some records."""
        for record in records:
            for step in record.steps:
                if step.started is not None and step.finished is not None:
                    share = _share(step.finished - step.started, step.batch)
                    self._busy[step.board] = self._busy.get(step.board, 0.0) + share
                    if step.cancelled == TOO_LATE:
                        self._vain[step.board] = self._vain.get(step.board, 0.0) + share
                if step.cancelled is not None:
                    found = self._found.setdefault(step.board, dict.fromkeys(CANCEL_STAGES, 0))
                    found[step.cancelled] += 1

    def rows(self, policy: str) -> tuple[CancelRow, ...]:
        """One for each board that was told to stop something."""
        return tuple(
            CancelRow(
                policy=policy,
                board=board,
                stages=dict(found),
                vain_s=self._vain.get(board, 0.0),
                vain_frac=self._vain.get(board, 0.0) / self._busy[board] if self._busy.get(board) else None,
            )
            for board, found in sorted(self._found.items())
        )


def _share(span: Ns, batch: int) -> float:
    """An item's part of the seconds that its batch took."""
    return to_s(span) / max(batch, 1)
