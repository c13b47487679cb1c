"""Hello and Welcome: who is there, is it the agent we mean, and does it take us."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from testbed.errors import BoardError, LinkError, RemoteWireError
from testbed.units import S
from testbed.wire import PROTOCOL_VERSION
from testbed.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.boards.composition import Composition
    from testbed.ports import Link
    from testbed.units import Ns
    from testbed.wire import Session

_RANDOM = random.SystemRandom()
_MAX_MESSAGE = 16 << 20
_HELLO_AGAIN_S = 0.4
_CURES = {
    "version": "Install the agent that belongs to this version of the testbed on the board",
    "agent": "Install the agent of this version on the board; `testbed doctor` says its hash",
    "fence": "A newer run has taken the board over; end it, or start yours again",
    "busy": "Somebody else uses the board; wait until they are done",
}


class RefusedError(BoardError):
    """The agent takes no session; ``code`` is version, fence, agent or busy."""

    def __init__(self, refused: m.Refused, board: str) -> None:
        """Keep the code."""
        self.code = refused.code
        cure = _CURES.get(refused.code, "")
        super().__init__(f"the agent refuses us ({refused.code}): {refused.text}", board=board, cure=cure)


async def greet(
    session: Session,
    link: Link,
    board: str,
    parts: Composition,
    fence: int,
    limit: Ns,
    now: Callable[[], Ns],
) -> m.Welcome:
    """Greet until ``limit``; a lossy line may need more than one Hello.

    Raises:
        LinkError: the link ended, or nobody answered in time.
        RefusedError: the agent takes no session. BoardError: it does not speak our wire.
    """
    while (left := (limit - now()) / S) > 0:
        number = _RANDOM.getrandbits(64)
        session.send(m.Hello(PROTOCOL_VERSION, fence, number, parts.agent_sha256, _MAX_MESSAGE, ""))
        while data := session.data_to_send():
            await link.write(data)
        try:
            async with asyncio.timeout(min(left, _HELLO_AGAIN_S) if parts.lossy else left):
                return await _listen(session, link, board)
        except TimeoutError:
            continue
    cure = "See whether the agent runs there and nothing else writes to the line"
    raise LinkError("the agent did not answer the greeting in time", link=link.name, cure=cure)


async def _listen(session: Session, link: Link, board: str) -> m.Welcome:
    while data := await link.read():
        try:
            messages = session.receive(data)
        except RemoteWireError as error:
            text = f"the agent does not speak our wire: {error}"
            raise BoardError(text, board=board, cure=_CURES["version"]) from error
        for message in messages:
            if isinstance(message, m.Welcome):
                return message
            if isinstance(message, m.Refused):
                raise RefusedError(message, board)
    await link.write(b"\0")  # raises with the reason that the link knows
    raise LinkError("the board closed the link before greeting", link=link.name)
