from __future__ import annotations

import asyncio
import queue
import threading

import pytest

from drivers.links.pump import ThreadPump
from testbed.errors import LinkError
from testbed.model.view import Health


class Library:
    """A blocking library in memory."""

    def __init__(self):
        self.incoming = queue.Queue()
        self.written = bytearray()
        self.may_write = threading.Event()
        self.may_write.set()
        self.grown = threading.Condition()

    def read(self):
        try:
            return self.incoming.get(timeout=0.05)
        except queue.Empty:
            return None

    def write(self, data):
        if not self.may_write.wait(20):
            raise OSError("nobody lets me write")
        with self.grown:
            self.written += data
            self.grown.notify()

    async def got(self, count):
        """Wait until so much was written: a stopping pump drops what it still holds."""

        def wait():
            with self.grown:
                return self.grown.wait_for(lambda: len(self.written) >= count, 20)

        assert await asyncio.to_thread(wait)


async def stop(pump):
    pump.stop()
    await asyncio.to_thread(pump.join)


async def test_bytes_go_both_ways_until_the_end():
    library = Library()
    pump = ThreadPump("t", read=library.read, write=library.write)
    pump.start()
    await pump.send(b"out")
    library.incoming.put(b"in")
    assert await pump.inbox.take() == b"in"
    library.incoming.put(b"")
    assert await pump.inbox.take() == b""
    assert pump.valve.health is Health.DOWN
    await library.got(3)
    await stop(pump)
    assert library.written == b"out"


async def test_a_writer_waits_while_a_megabyte_is_under_way():
    library = Library()
    library.may_write.clear()
    pump = ThreadPump("t", read=library.read, write=library.write)
    pump.start()
    await pump.send(bytes(1 << 20))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pump.send(b"more")
    library.may_write.set()
    async with asyncio.timeout(20):
        await pump.send(b"!")
    await library.got((1 << 20) + 5)
    await stop(pump)
    # Giving up the wait does not take the bytes back.
    assert bytes(library.written) == bytes(1 << 20) + b"more!"


async def test_an_error_of_the_library_becomes_a_link_error():
    library = Library()

    def read():
        raise OSError("unplugged")

    pump = ThreadPump("test://p", read=read, write=library.write)
    pump.start()
    assert await pump.inbox.take() == b""
    with pytest.raises(LinkError, match="unplugged"):
        await pump.send(b"x")
    await stop(pump)


def test_threads_outlive_their_loop_without_harm():
    library = Library()

    async def begin():
        pump = ThreadPump("outliving", read=library.read, write=library.write)
        pump.start()
        return pump

    pump = asyncio.run(begin())
    library.incoming.put(b"for nobody")
    library.incoming.put(b"")
    pump.stop()
    pump.join()
    assert library.incoming.qsize() <= 2
    assert not [t for t in threading.enumerate() if t.name.startswith("outliving")]
