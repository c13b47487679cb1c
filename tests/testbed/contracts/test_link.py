"""The contract itself: a good link passes, and each promise is noticed when it is broken."""

from __future__ import annotations

import asyncio
import time

import pytest

from testbed.contracts.link import LinkContract
from testbed.errors import LinkError
from testbed.model.view import Health


class Loop:
    """A link in memory that echoes; `flaw` breaks one promise."""

    name = "test://loop"

    def __init__(self, flaw="", *, nowhere=False):
        self.flaw = flaw
        self.nowhere = nowhere
        self.queue = None

    @property
    def health(self):
        return Health.UP if self.queue is not None else Health.DOWN

    async def open(self):
        if self.nowhere and self.flaw != "opens anywhere":
            raise LinkError("nobody there", link=self.name, cure="Look elsewhere")
        self.queue = asyncio.Queue()

    async def read(self):
        queue = self.queue
        return await queue.get() if queue is not None else b""

    async def write(self, data):
        if self.queue is None:
            if self.flaw != "writes into the void":
                raise LinkError("down", link=self.name)
            return
        data = bytes(data)
        if self.flaw == "translates newlines":
            data = data.replace(b"\n", b"\r\n")
        if self.flaw == "loses large writes" and len(data) > 4096:
            self.cut()
            return
        if data:
            self.queue.put_nowait(data)

    def cut(self):
        if self.queue is not None:
            self.queue.put_nowait(b"")
            self.queue = None

    async def close(self):
        if self.flaw == "blocks on close":
            time.sleep(600)  # noqa: ASYNC251 - the fault itself
        if self.flaw == "hangs on close":
            await asyncio.sleep(600)
        if self.flaw == "closes once" and self.queue is None:
            raise LinkError("closed already", link=self.name)
        self.cut()


class TestGoodLink(LinkContract):
    @pytest.fixture
    def link(self):
        return Loop()

    @pytest.fixture
    def link_to_nowhere(self):
        return Loop(nowhere=True)

    @pytest.fixture
    def cut(self, link):
        return link.cut


@pytest.mark.parametrize(
    ("flaw", "test"),
    [
        ("translates newlines", "test_every_value_of_a_byte"),
        ("loses large writes", "test_echoes_every_byte"),
        ("writes into the void", "test_writing_before_open_raises"),
        ("closes once", "test_close_is_idempotent_and_bounded"),
    ],
)
def test_a_broken_promise_is_noticed(flaw, test):
    with pytest.raises((AssertionError, LinkError, ExceptionGroup, pytest.fail.Exception)):
        getattr(LinkContract(), test)(Loop(flaw))


def test_a_link_that_opens_anywhere_is_noticed():
    with pytest.raises(pytest.fail.Exception):
        LinkContract().test_opening_to_nowhere_raises(Loop("opens anywhere", nowhere=True))


def test_a_close_that_hangs_is_noticed():
    contract = LinkContract()
    contract.bound_s = 0.1
    with pytest.raises(AssertionError, match="close did not return"):
        contract.test_writing_before_open_raises(Loop("hangs on close"))


@pytest.mark.usefixtures("no_alarm")
def test_a_close_that_blocks_the_event_loop_is_noticed():
    contract = LinkContract()
    contract.bound_s = 2.0
    with pytest.raises(AssertionError, match="the link blocks the event loop"):
        contract.test_writing_before_open_raises(Loop("blocks on close"))
