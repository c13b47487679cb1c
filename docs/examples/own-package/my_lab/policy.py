"""Edge boards in turn, whatever is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.action import Answer, Decision, Infer, Item
from testbed.model.lab import parse_options
from testbed.model.placement import Demand, LabSnapshot, Placement
from testbed.model.view import Health
from testbed.policy import EDGE, PolicySettings

if TYPE_CHECKING:
    from testbed.model.action import Action
    from testbed.model.view import View
    from testbed.ports import Policy
    from testbed.units import Ns


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy's table in a campaign file.

    Attributes:
        without: boards to leave out.
    """

    without: tuple[str, ...] = ()


class RoundRobin:
    """The next board that is up takes the next request."""

    def __init__(self, settings: PolicySettings) -> None:
        """Check the options.

        Raises:
            ConfigError: an option that does not exist.
        """
        options = parse_options(settings.options, Options, file="policy round-robin", key="options")
        self._boards = [b for b in settings.sites.get(EDGE, ()) if b not in options.without]
        self._turn = 0

    def plan(self, demand: Demand, lab: LabSnapshot) -> Placement:
        """Leave everything where it is."""
        return Placement()

    def decide(self, now: Ns, view: View) -> Decision:
        """Answer what was told, order what waits."""
        actions: list[Action] = []
        for case in view.waiting.values():
            request = case.request
            last = case.steps[-1] if case.steps else None
            if last is not None and last.ok:
                actions.append(Answer(request=request.id, steps=(last.id,), label=last.label))
            elif len(case.steps) < 2 and (found := self._next(view)) is not None:
                board, model = found
                item = Item(request=request.id)
                actions.append(Infer(id=view.new_id(), board=board, model=model, batch=(item,)))
        return Decision(actions=tuple(actions))

    def _next(self, view: View) -> tuple[str, str] | None:
        for _ in self._boards:
            board = view.boards[self._boards[self._turn % len(self._boards)]]
            self._turn += 1
            if board.health is not Health.DOWN and board.resident:
                return board.id, next(iter(board.resident))
        return None


def round_robin(settings: PolicySettings) -> Policy:
    """Entry point ``round-robin``."""
    return RoundRobin(settings)
