from __future__ import annotations

import asyncio
import threading

import pytest

from testbed.loop_thread import LoopThread
from testbed.units import MS, S


def test_a_wait_is_bounded_and_what_was_waited_for_is_cancelled():
    loop = LoopThread()
    cancelled = threading.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    try:
        with pytest.raises(TimeoutError):
            loop.call(for_ever(), 20 * MS)
        assert cancelled.wait(1)
        assert loop.call(asyncio.sleep(0, "done"), S) == "done"
    finally:
        loop.close()
