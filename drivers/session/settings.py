"""Settings that a board's description wants: made before the work, read back, and put back after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import BoardError
from testbed.units import S
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.session.questions import Questions
    from testbed.units import Ns

RESTORE = "restore"
_LIMIT: Ns = 30 * S


async def read(questions: Questions, name: str, board: str) -> str:
    """A setting's value, or the board's condition.

    Raises:
        BoardError: the board has no such thing. LinkError: the link was lost.
    """
    reply = await _say(questions, name, "")
    if not reply.ok:
        raise BoardError(f"{name}: {reply.text}", board=board)
    return reply.value


class Settings:
    """Of one board.

    Attributes:
        held: as read back after setting: what the figures belong to.
    """

    def __init__(self, wanted: Mapping[str, str], board: str) -> None:
        """None is made yet."""
        self.held: dict[str, str] = {}
        self._wanted = wanted
        self._board = board

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._wanted)

    async def make(self, questions: Questions) -> None:
        """Set each.

        Raises:
            BoardError: the board refused one. LinkError: the link was lost.
        """
        for name, value in self._wanted.items():
            reply = await _say(questions, name, value)
            if not reply.ok:
                raise BoardError(f"setting {name} to {value}: {reply.text}", board=self._board)
            self.held[name] = reply.value

    async def put_back(self, questions: Questions) -> None:
        """As the board had them; what it answers changes nothing any more. Raises as `make`."""
        for name in self._wanted:
            await _say(questions, name, RESTORE)


async def _say(questions: Questions, name: str, value: str) -> m.SettingsReply:
    reply: m.SettingsReply = await questions.ask(lambda number: m.Settings(number, name, value), _LIMIT)
    return reply
