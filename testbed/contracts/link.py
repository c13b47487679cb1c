"""What every link promises, as tests: subclass `LinkContract` and say how to make one.

The class brings asyncio itself, so a driver author needs pytest and nothing else.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from testbed.contracts.bounds import run_unblocked
from testbed.errors import LinkError
from testbed.model.view import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from testbed.ports import Link


class LinkContract:
    """Subclass it, override ``link``, ``link_to_nowhere`` and ``cut``.

    Attributes:
        sizes: bytes to echo; leave out the largest for a line that is truly slow.
        bound_s: no single call of the link may take longer.
    """

    sizes: tuple[int, ...] = (0, 1, 64 * 1024, 1024 * 1024)
    bound_s: float = 10.0

    @pytest.fixture
    def link(self) -> Link:
        """A link, not open, whose other side echoes every byte."""
        raise NotImplementedError

    @pytest.fixture
    def link_to_nowhere(self) -> Link:
        """A link whose other side does not exist."""
        raise NotImplementedError

    @pytest.fixture
    def cut(self) -> Callable[[], None]:
        """Makes the other side of ``link`` go away."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, None], link: Link) -> None:
        """Run a test's coroutine with a bound, and close the link whatever happens."""

        async def bounded() -> None:
            try:
                async with asyncio.timeout(3 * self.bound_s):
                    await work
            finally:
                await self.closed(link)

        run_unblocked(bounded(), self.bound_s, "the link")

    async def closed(self, link: Link) -> None:
        """Close a link.

        Raises:
            AssertionError: that takes longer than ``bound_s``.
        """
        try:
            async with asyncio.timeout(self.bound_s):
                await link.close()
        except TimeoutError:
            raise AssertionError(f"close did not return within {self.bound_s} s") from None

    def test_echoes_every_byte(self, link: Link) -> None:
        """8-bit clean, complete and in order, whatever the size."""

        async def work() -> None:
            await link.open()
            assert link.health is Health.UP
            for size in self.sizes:
                sent = random.Random(size).randbytes(size) if size > 1 else bytes(size)
                async with asyncio.TaskGroup() as group:
                    writing = group.create_task(link.write(sent))
                    heard = bytearray()
                    while len(heard) < size:
                        part = await link.read()
                        assert part, f"the link ended after {len(heard)} of {size} bytes"
                        heard += part
                assert writing.done()
                assert heard == sent

        self.run(work(), link)

    def test_every_value_of_a_byte(self, link: Link) -> None:
        """No terminal translates, swallows or answers anything."""

        async def work() -> None:
            await link.open()
            sent = bytes(range(256)) * 4
            await link.write(sent)
            heard = b""
            while len(heard) < len(sent):
                heard += await link.read()
            assert heard == sent

        self.run(work(), link)

    def test_write_takes_any_buffer(self, link: Link) -> None:
        """bytes, bytearray and memoryview, which the caller may reuse afterwards."""

        async def work() -> None:
            await link.open()
            buffer = bytearray(b"abc")
            await link.write(buffer)
            await link.write(memoryview(b"defg")[1:])
            heard = b""
            while len(heard) < 6:
                heard += await link.read()
            assert heard == b"abcefg"

        self.run(work(), link)

    def test_reading_ends_when_the_far_side_goes(self, link: Link, cut: Callable[[], None]) -> None:
        """``read`` gives ``b""`` and goes on giving it; the state is down."""

        async def work() -> None:
            await link.open()
            await link.write(b"x")
            assert await link.read() == b"x"
            cut()
            async with asyncio.timeout(self.bound_s):
                while await link.read():
                    pass
            assert await link.read() == b""
            assert link.health is Health.DOWN

        self.run(work(), link)

    def test_writing_to_a_dead_link_raises(self, link: Link, cut: Callable[[], None]) -> None:
        """With `LinkError`, which names the link."""

        async def work() -> None:
            await link.open()
            cut()
            async with asyncio.timeout(self.bound_s):
                while await link.read():
                    pass
            with pytest.raises(LinkError) as caught:
                await link.write(b"anybody there?")
            assert caught.value.link == link.name

        self.run(work(), link)

    def test_writing_before_open_raises(self, link: Link) -> None:
        """With `LinkError`; and the state is down."""

        async def work() -> None:
            assert link.health is Health.DOWN
            with pytest.raises(LinkError):
                await link.write(b"too early")

        self.run(work(), link)

    def test_close_is_idempotent_and_bounded(self, link: Link) -> None:
        """Also before ``open``; a reader that waits is let go."""

        async def work() -> None:
            await link.close()
            await link.open()
            begun = time.monotonic()
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(link.read())
                await asyncio.sleep(0)
                await link.close()
            assert reading.result() == b""
            await link.close()
            assert time.monotonic() - begun < self.bound_s
            assert link.health is Health.DOWN

        self.run(work(), link)

    def test_opens_again_after_close(self, link: Link) -> None:
        """A link is reusable: a board reconnects over the same object."""

        async def work() -> None:
            for word in (b"one", b"two"):
                await link.open()
                await link.write(word)
                heard = b""
                while len(heard) < 3:
                    heard += await link.read()
                assert heard == word
                await link.close()

        self.run(work(), link)

    def test_opening_to_nowhere_raises(self, link_to_nowhere: Link) -> None:
        """With `LinkError`, in bounded time, and with a cure."""

        async def work() -> None:
            begun = time.monotonic()
            with pytest.raises(LinkError) as caught:
                await link_to_nowhere.open()
            assert time.monotonic() - begun < self.bound_s
            assert caught.value.cure
            assert link_to_nowhere.health is Health.DOWN

        self.run(work(), link_to_nowhere)
