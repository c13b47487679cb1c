"""Hello and Welcome: who is there, is it the agent we mean, and does it take us."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from testbed.errors import BoardError, LeaseError, LinkError, RemoteWireError
from testbed.units import MS, S
from testbed.wire import PROTOCOL_VERSION
from testbed.wire import messages as m
from testbed.wire.claim import Claim, note_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.boards.composition import Composition
    from testbed.model.lab import BoardSpec
    from testbed.ports import Link
    from testbed.units import Ns
    from testbed.wire import Session

_RANDOM = random.SystemRandom()
_MAX_MESSAGE = 16 << 20
_HELLO_AGAIN_S = 0.4
_LEASED = ("fence", "busy")
_CURES = {
    "version": "Install the agent that belongs to this version of the testbed on the board",
    "agent": "Install the agent of this version on the board; `testbed doctor` says its hash",
    "fence": "Start yours again once they are done; `testbed boards` shows who holds what",
    "busy": "Wait until they are done: `testbed run --wait SECONDS`",
}


class RefusedError(BoardError):
    """The agent takes no session; ``code`` is version or agent."""

    def __init__(self, refused: m.Refused, board: str) -> None:
        """Keep the code."""
        self.code = refused.code
        cure = _CURES.get(refused.code, "")
        super().__init__(f"the agent refuses us ({refused.code}): {refused.text}", board=board, cure=cure)


def claim_of(spec: BoardSpec, silence_ms: int) -> Claim:
    """What the greeting says of us; on a quiet link the agent hears from us every third of ``silence_ms``."""
    return Claim(spec.fence, spec.holder, spec.issuer, max(spec.ttl, silence_ms * MS) if spec.ttl else 0)


async def greet(
    session: Session,
    link: Link,
    board: str,
    parts: Composition,
    claim: Claim,
    limit: Ns,
    now: Callable[[], Ns],
) -> m.Welcome:
    """Greet until ``limit``; a lossy line may need more than one Hello.

    Raises:
        LinkError: the link ended, or nobody answered in time.
        LeaseError: the board is somebody else's. RefusedError: the agent takes no session.
        BoardError: it does not speak our wire.
    """
    while (left := (limit - now()) / S) > 0:
        number = _RANDOM.getrandbits(64)
        hello = m.Hello(
            PROTOCOL_VERSION, claim.token, number, parts.agent_sha256, _MAX_MESSAGE, note_of(claim)
        )
        session.send(hello)
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
                if message.code in _LEASED:
                    raise LeaseError(message.text, board=board, code=message.code, cure=_CURES[message.code])
                raise RefusedError(message, board)
    await link.write(b"\0")  # raises with the reason that the link knows
    raise LinkError("the board closed the link before greeting", link=link.name)
