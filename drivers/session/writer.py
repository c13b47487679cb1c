"""What leaves over a link, and in which order: small messages, actions, pieces of files.

At most one bulk message is inside the session at a time, so that it is known when its last byte left, cancels
before sending stay possible as long as can be, and files never hold up an ``Infer`` for more than one piece.

An order is written in its caller's own time where the link can take it (`PromptLink`), since waking a task costs a turn
of the event loop on the way of every request; otherwise, and under back-pressure, by the writer's task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from drivers.links.stream import PromptLink
from testbed.errors import LocalWireError

if TYPE_CHECKING:
    from drivers.session.actions import Actions
    from drivers.session.ledger import Flight
    from testbed.ports import Link
    from testbed.wire import Session
    from testbed.wire import messages as m


class Writer:
    """The outgoing half of a conversation.

    Attributes:
        at_once: it is writing in the time of somebody who orders.
        held: more orders are about to come, so `send_at_once` leaves the writing to its next call.
    """

    def __init__(self, link: Link, session: Session, actions: Actions, budget_bytes: int) -> None:
        """Hand over some ``budget_bytes`` at a time."""
        self.at_once = self.held = False
        self._link = link
        self._prompt = link if isinstance(link, PromptLink) else None
        self._session = session
        self._actions = actions
        self._budget = budget_bytes
        self._leaving: Flight | None = None
        self._entered: deque[Flight] = deque()
        self._writing = False
        self._pieces: deque[m.PutBlob] = deque()
        self._piece_turn = False
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def put_piece(self, piece: m.PutBlob) -> None:
        """Queue a piece of a file; it waits for its turn between the actions."""
        self._pieces.append(piece)
        self._wake.set()

    async def run(self) -> None:
        """Write what is there, wait for more, until cancelled; raises `LinkError`."""
        write, wake = self._link.write, self._wake
        while True:
            data, left = self._gather()
            self._tell_entered()
            if not data:
                wake.clear()
                await wake.wait()
                continue
            self._writing = True
            await write(data)
            self._writing = False
            for flight in left:
                self._actions.mark_sent(flight)

    def send_at_once(self) -> None:
        """Write what may leave in the caller's own time while the link has room; the writer does the rest."""
        prompt = self._prompt
        if prompt is None or self._writing or self.at_once:
            self._wake.set()
            return
        if self.held:
            return
        self.at_once = True
        try:
            while True:
                if not prompt.room:
                    self._wake.set()
                    return
                data, left = self._gather()
                if not data:
                    return
                prompt.put(data)
                self._tell_entered()
                for flight in left:
                    self._actions.mark_sent(flight)
                if not (self._food or self._leaving or self._session.wants_to_send):
                    return
        finally:
            self.at_once = False

    @property
    def _food(self) -> bool:
        """Whether `_feed` may find something."""
        return bool(self._pieces) or self._actions.may_have_more

    def _tell_entered(self) -> None:
        while self._entered:
            self._actions.tell_sent(self._entered.popleft())

    def _gather(self) -> tuple[bytes, list[Flight]]:
        """The next bytes for the link, and the flights whose last byte is among them."""
        session, budget = self._session, self._budget
        parts: list[bytes] = []
        left: list[Flight] = []
        size = 0
        while size < budget:
            if not session.wants_to_send and not self._feed():
                break
            data = session.data_to_send(budget - size)
            if not parts and not session.wants_to_send and not self._food:
                leaving, self._leaving = self._leaving, None  # as usual, one order and nothing behind it
                return data, [leaving] if leaving is not None else left
            parts.append(data)
            size += len(data)
            if self._leaving is not None and not session.wants_to_send:
                left.append(self._leaving)
                self._leaving = None
        return b"".join(parts), left

    def _feed(self) -> bool:
        """Give the empty session its next bulk message; actions and pieces of files take turns."""
        self._piece_turn = not self._piece_turn
        if self._pieces and (self._piece_turn or not self._feed_action()):
            self._session.send(self._pieces.popleft())
            return True
        return self._leaving is not None or self._feed_action()

    def _feed_action(self) -> bool:
        while (leaving := self._actions.next()) is not None:
            flight, message = leaving
            try:
                self._session.send(message)
            except LocalWireError as error:
                self._actions.fail(flight, str(error))
                continue
            if self._actions.mark_leaving(flight):
                self._entered.append(flight)
            self._leaving = flight
            return True
        return False
