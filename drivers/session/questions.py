"""Questions to an agent and their answers: by a number of their own, or by the hash of the file they are about.

On a lossy line a question that stays unanswered is asked again every second.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from testbed.errors import BoardError, LinkError
from testbed.units import Ns, S
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN_S = 1.0


class Questions:
    """What the agent was asked and has not answered.

    Attributes:
        files: the newest that was said of each file, by hash.
    """

    def __init__(
        self, say: Callable[[m.Message], None], ended: asyncio.Event, board: str, link: str, *, lossy: bool
    ) -> None:
        """Nothing is asked yet.

        Args:
            say: sends a message. ended: whether the conversation is over. board, link: as errors name them.
        """
        self.files: dict[str, m.BlobState] = {}
        self._say = say
        self._ended = ended
        self._board = board
        self._link = link
        self._lossy = lossy
        self._asked = 0
        self._open: dict[int | str, asyncio.Future[Any]] = {}

    async def ask(self, make: Callable[[int], m.Message], limit: Ns) -> Any:  # noqa: ANN401 - a message
        """Ask, and wait for the answer at most ``limit``.

        Args:
            make: the question under a number.

        Raises:
            BoardError: the agent refused, or there was no answer in time.
            LinkError: the link was lost.
        """
        self._asked += 1
        return await self._wait(self._asked, limit, make(self._asked))

    async def ask_file(self, sha256: str, limit: Ns) -> m.BlobState:
        """How much of a file the board has; raises as `ask`."""
        await self._wait(sha256, limit, m.AskBlob(sha256))
        return self.files[sha256]

    async def hear_of_file(self, sha256: str, limit: Ns) -> m.BlobState:
        """The next that the board says of a file without being asked; raises as `ask`."""
        await self._wait(sha256, limit)
        return self.files[sha256]

    async def _wait(self, key: int | str, limit: Ns, question: m.Message | None = None) -> Any:  # noqa: ANN401
        if self._ended.is_set():
            raise LinkError("the link was lost", link=self._link)
        again = question if self._lossy else None
        answer = self._open[key] = asyncio.get_running_loop().create_future()
        try:
            if question is not None:
                self._say(question)
            async with asyncio.timeout(limit / S):
                while again is not None:
                    await asyncio.wait((answer,), timeout=_AGAIN_S)
                    if answer.done():
                        break
                    self._say(again)
                return await answer
        except TimeoutError as error:
            raise BoardError(f"no answer within {limit / S:g} s", board=self._board) from error
        finally:
            if self._open.get(key) is answer:
                del self._open[key]

    def answered(self, message: m.Loaded | m.SettingsReply | m.DatagramsOpen) -> None:
        """The agent answers a question."""
        self._settle(message.request, message)

    def told_of_file(self, message: m.BlobState) -> None:
        """The agent says how much of a file it has."""
        self.files[message.sha256] = message
        self._settle(message.sha256, message)

    def refused(self, message: m.Failed) -> None:
        """The agent refuses what it was asked."""
        answer = self._open.get(message.number)
        if answer is not None and not answer.done():
            text = f"{message.code}: {message.text}"
            answer.set_exception(BoardError(text, board=self._board, traceback=message.traceback))

    def close(self, reason: LinkError | BoardError) -> None:
        """Nothing will be answered any more."""
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(reason)
                answer.exception()  # whoever waited may be gone: then this is not an accident

    def _settle(self, key: int | str, message: m.Message) -> None:
        answer = self._open.get(key)
        if answer is not None and not answer.done():
            answer.set_result(message)
