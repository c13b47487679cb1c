"""How long work tells that it is getting on; the front doors draw it, the campaign only calls."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Progress(Protocol):
    """A bar, a log, or nothing."""

    def start(self, label: str, total: int) -> None:
        """Begin a piece of work of ``total`` parts."""

    def advance(self, n: int = 1) -> None:
        """So many parts more are done."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def done(self) -> None:
        """The piece begun last is finished."""


class Silent:
    """Says nothing."""

    def start(self, label: str, total: int) -> None:
        """Ignore."""

    def advance(self, n: int = 1) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""

    def done(self) -> None:
        """Ignore."""


@asynccontextmanager
async def ticking(progress: Progress, seconds: int) -> AsyncIterator[None]:
    """Advance by one a second during work that takes about so long, and by what is missing once it is done."""
    told = 0

    async def tick() -> None:
        nonlocal told
        while told < seconds:
            await asyncio.sleep(1.0)
            told += 1
            progress.advance()

    ticker = asyncio.create_task(tick())  # no group: what goes wrong inside has to come out as it is
    try:
        yield
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)
    progress.advance(seconds - told)
