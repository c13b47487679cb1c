"""An event loop in a thread of its own, for plain functions that wait for what runs there."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from testbed.campaign.loop import new_loop
from testbed.units import to_s

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from testbed.units import Ns

T = TypeVar("T")


class LoopThread:
    """An event loop that runs in a thread until it is closed."""

    def __init__(self) -> None:
        """Start it."""
        self._closing = asyncio.Event()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="testbed", daemon=True)
        self._thread.start()
        self._running.wait()

    def _run(self) -> None:
        # A runner ends what is left of tasks, generators and threads in order when the loop is done.
        with asyncio.Runner(loop_factory=new_loop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        self._running.set()
        await self._closing.wait()

    def call(self, work: Coroutine[Any, Any, T], limit: Ns) -> T:
        """Run a coroutine there and wait for it.

        Raises:
            TimeoutError: it took longer than ``limit``; it was cancelled.
        """

        async def bounded() -> T:
            async with asyncio.timeout(to_s(limit)):
                return await work

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()

    def close(self) -> None:
        """End the loop and wait for the thread."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
