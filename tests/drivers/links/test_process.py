from __future__ import annotations

import asyncio
import sys

import pytest

from drivers.links.health import Sign
from drivers.links.process import ChildStream
from testbed.errors import LinkError
from testbed.model.view import Health


async def run(code, **options):
    child = ChildStream("test://child", grace_s=0.2, **options)
    child.valve.note(Sign.OPENED)
    await child.start([sys.executable, "-c", code])
    return child


async def test_output_before_the_end_is_not_lost():
    child = await run("print('x' * 100000)")
    heard = b""
    while data := await child.inbox.take():
        heard += data
    assert len(heard) == 100001
    await child.stop()


async def test_a_signal_is_named():
    child = await run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert await child.inbox.take() == b""
    assert "signal 11" in child.death().message
    await child.stop()


async def test_a_child_that_closes_its_input_is_lost():
    child = await run("import os, time; os.close(0); print('closed', flush=True); time.sleep(30)")
    assert (await child.inbox.take()).startswith(b"closed")
    async with asyncio.timeout(20):
        while child.valve.health is not Health.DOWN:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    with pytest.raises(LinkError):
        await child.write(b"x")
    await child.stop()


async def test_reading_is_paused_while_nobody_takes():
    child = await run("import os\nwhile True: os.write(1, bytes(65536))")
    async with asyncio.timeout(20):
        while not child.inbox.full:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.005)
    assert len(await child.inbox.take()) < 6 << 20
    await child.stop()
    assert child.pid is None


async def test_stopping_before_the_start_is_no_error():
    await ChildStream("test://child").stop()
