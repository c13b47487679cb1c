from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from drivers.links.local import LocalLink
from testbed.contracts.link import LinkContract
from testbed.errors import LinkError

ECHO = [sys.executable, "-c", "import os\nwhile d := os.read(0, 65536):\n while d: d = d[os.write(1, d):]"]


class TestLocalLink(LinkContract):
    @pytest.fixture
    def link(self):
        return LocalLink(ECHO, grace_s=0.5)

    @pytest.fixture
    def link_to_nowhere(self):
        return LocalLink(["/nonexistent/program"])

    @pytest.fixture
    def cut(self, link):
        return lambda: os.kill(link.pid, signal.SIGKILL)


async def test_error_says_how_it_ended_and_what_it_complained_about():
    link = LocalLink([sys.executable, "-c", "import sys; sys.exit('no such port')"])
    await link.open()
    assert await link.read() == b""
    with pytest.raises(LinkError, match=r"no such port"):
        await link.write(b"x")
    await link.close()


async def test_complaints_are_kept_to_a_tail():
    link = LocalLink([sys.executable, "-c", "import sys; sys.stderr.write('a' * 100000 + '\\nlast words')"])
    await link.open()
    assert await link.read() == b""
    with pytest.raises(LinkError, match="last words") as caught:
        await link.write(b"x")
    assert len(caught.value.message) < 9000
    await link.close()


async def test_a_child_that_ignores_every_hint_is_killed():
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    link = LocalLink([sys.executable, "-c", stubborn], grace_s=0.1)
    await link.open()
    assert (await link.read()).startswith(b"ready")
    pid = link.pid
    await link.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_writer_waits_while_the_child_does_not_read():
    link = LocalLink([sys.executable, "-c", "import time; time.sleep(60)"], grace_s=0.1, stall_s=30)
    await link.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await link.write(bytes(1 << 20))
    await link.close()


async def test_environment_and_priority_reach_the_child():
    code = "import os; input(); print(os.environ['WORD'], os.getpriority(os.PRIO_PROCESS, 0), flush=True)"
    link = LocalLink([sys.executable, "-c", code], env={**os.environ, "WORD": "hello"}, nice=5)
    await link.open()
    await link.write(b"\n")  # it was started before its priority was set
    said = b""
    while not said.endswith(b"\n"):
        said += await link.read()
    assert said.split() == [b"hello", str(os.getpriority(os.PRIO_PROCESS, 0) + 5).encode()]
    await link.close()
