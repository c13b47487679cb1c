"""Loads that a board was ordered: carried out one after another, each with exactly one end."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from testbed.errors import BoardError, LinkError, WireError
from testbed.model import event as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.session.conversation import Conversation
    from drivers.session.loading import Loader
    from testbed.model.action import Load
    from testbed.ports import BoardEvent
    from testbed.units import Ns


class LoadQueue:
    """Of one board; the order in flight stays in it until it is settled."""

    def __init__(
        self, board: str, loader: Loader, emit: Callable[[BoardEvent], None], now: Callable[[], Ns]
    ) -> None:
        """Nothing is ordered."""
        self._board = board
        self._loader = loader
        self._emit = emit
        self._now = now
        self._orders: deque[Load] = deque()
        self._wanted = asyncio.Event()

    def add(self, order: Load) -> None:
        """One more."""
        self._orders.append(order)
        self._wanted.set()

    async def run(self, talk: Conversation) -> None:
        """Carry them out over a conversation, until it is lost."""
        while True:
            while self._orders:
                try:
                    event = await self._carry_out(talk, self._orders[0])
                except LinkError:
                    return  # what waits fails with the connection
                self._orders.popleft()
                self._emit(event)
            self._wanted.clear()
            await self._wanted.wait()

    def fail(self, why: str) -> None:
        """None of them will be carried out."""
        while self._orders:
            self._emit(ev.Failed(t=self._now(), action=self._orders.popleft().id, error=why))

    async def _carry_out(self, talk: Conversation, order: Load) -> ev.Loaded | ev.Failed:
        try:
            loaded = await self._loader.load(talk, order.model, order.instances, order.evict)
        except (BoardError, WireError) as error:
            traceback = error.traceback if isinstance(error, BoardError) else ""
            return ev.Failed(t=self._now(), action=order.id, error=str(error), traceback=traceback)
        return ev.Loaded(
            t=self._now(),
            action=order.id,
            board=self._board,
            model=order.model,
            load=loaded.load_ns,
            memory_bytes=loaded.memory_bytes,
            text=loaded.text,
        )
