"""Models that a placement wants resident: each load is ordered once, and again when the model was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.model.action import Load
from testbed.model.view import Health

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from testbed.model.action import Action
    from testbed.model.ids import BoardId, ModelId
    from testbed.model.placement import Hosted
    from testbed.model.view import View


class Residents:
    """Orders each load of a placement once; a model that was lost later is loaded again."""

    def __init__(self) -> None:
        """Nothing asked for yet."""
        self._asked: set[tuple[BoardId, ModelId]] = set()
        self._hosted: tuple[Hosted, ...] = ()
        self._wanted: dict[BoardId, list[Hosted]] = {}

    def missing(self, view: View, hosted: tuple[Hosted, ...], changed: Collection[BoardId]) -> list[Action]:
        """Loads for what should be resident and is neither that nor on its way, in a new list.

        Args:
            changed: boards whose health, link or models changed since the last call.
        """
        boards: Iterable[BoardId] = changed
        if hosted is not self._hosted:
            self._hosted = hosted
            self._wanted = {}
            for host in hosted:
                self._wanted.setdefault(host.board, []).append(host)
            boards = self._wanted
        elif not changed:
            return []
        loads: list[Action] = []
        for name in boards:
            board = view.boards[name]
            for host in self._wanted.get(name, ()):
                key = (name, host.model)
                if host.model in board.resident or board.health is Health.DOWN:
                    self._asked.discard(key)
                elif key not in self._asked and host.model not in board.loading:
                    self._asked.add(key)
                    loads.append(
                        Load(id=view.new_id(), board=name, model=host.model, instances=host.instances)
                    )
        return loads
