"""Which models to drop for another one: least recently used first, never one that has work under way.

For policies that swap models. Sizes are those of the profiles; a model of unknown size takes no room, and a board of
unknown memory holds everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.model.action import Load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.model.ids import BoardId, ModelId
    from testbed.model.profile import ProfileBook
    from testbed.model.view import BoardView, View


class Memory:
    """Remembers what was used when; reads everything else from the view."""

    def __init__(self, profiles: ProfileBook) -> None:
        """Nothing was used yet."""
        self._profiles = profiles
        self._used: dict[BoardId, dict[ModelId, None]] = {}

    def touch(self, board: BoardId, model: ModelId) -> None:
        """A model is used now."""
        order = self._used.setdefault(board, {})
        order.pop(model, None)
        order[model] = None

    def load(self, view: View, board: BoardId, model: ModelId) -> Load | None:
        """The order that makes a model resident, or ``None`` while what it would replace is at work.

        Also ``None`` for a model that does not fit the board even alone.
        """
        state = view.boards[board]
        evict = self._room(state, model, _at_work(view, board))
        if evict is None:
            return None
        self.touch(board, model)
        return Load(id=view.new_id(), board=board, model=model, evict=evict)

    def fits(self, state: BoardView, model: ModelId) -> bool:
        """Whether a board could hold a model at all."""
        return state.memory_bytes is None or self._size(state.id, model) <= state.memory_bytes

    def _room(
        self, state: BoardView, model: ModelId, at_work: Iterable[ModelId]
    ) -> tuple[ModelId, ...] | None:
        if state.memory_bytes is None:
            return ()
        held = {name: self._size(state.id, name) * copies for name, copies in state.resident.items()}
        held |= {name: self._size(state.id, name) for name in state.loading}
        over = sum(held.values()) + self._size(state.id, model) - state.memory_bytes
        order = self._used.get(state.id, {})
        never = [name for name in held if name not in order]
        evict: list[ModelId] = []
        for name in (*never, *order):
            if over <= 0:
                break
            if name in held and name not in at_work and name not in state.loading:
                evict.append(name)
                over -= held[name]
        return tuple(evict) if over <= 0 else None

    def _size(self, board: BoardId, model: ModelId) -> float:
        profile = self._profiles.find(board, model)
        known = profile.memory_bytes if profile is not None else None
        return known.value if known is not None else 0.0


def _at_work(view: View, board: BoardId) -> set[ModelId]:
    """Models with orders under way there."""
    return {
        order.model
        for case in view.cases.values()
        for order in case.in_flight.values()
        if order.board == board
    }
