"""How the boards of a lossy edge are reached: by datagrams where they have a channel for them, else reliably.

The data centre is always reached reliably. A board that fails an order for want of a channel did not fail the request:
it may be asked again at once, reliably, and is reached so until its next connection, which may bring a channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.model.action import Transport
from testbed.model.execution import NO_DATAGRAMS
from testbed.model.view import Health

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from testbed.model.execution import Step
    from testbed.model.ids import BoardId
    from testbed.model.view import CaseView, View


class LossyOrders:
    """Which boards take them."""

    def __init__(self, dc: Collection[BoardId]) -> None:
        """Every board but the data centre's, until one says that it has no channel."""
        self._dc = dc
        self._without: set[BoardId] = set()

    def see(self, view: View, changed: Iterable[BoardId]) -> None:
        """Forget what is known of boards that lost their connection.

        Args:
            changed: boards whose health, link or models changed since the last decision.
        """
        if self._without:
            self._without.difference_update(b for b in changed if view.boards[b].health is Health.DOWN)

    def heard(self, failed: Step) -> None:
        """A step that failed may say that its board has no channel."""
        if _no_channel(failed):
            self._without.add(failed.board)

    def transport(self, board: BoardId) -> Transport:
        """How to reach a board now."""
        return Transport.RELIABLE if board in self._dc or board in self._without else Transport.LOSSY


def failed_on(case: CaseView) -> frozenset[BoardId]:
    """Boards that failed a request, however they were reached."""
    return frozenset(step.board for step in case.steps if not step.ok and not _no_channel(step))


def _no_channel(step: Step) -> bool:
    return step.error is not None and step.error.startswith(NO_DATAGRAMS)
