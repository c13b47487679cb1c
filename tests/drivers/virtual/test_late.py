from __future__ import annotations

import asyncio

import pytest

from drivers.virtual.late import LateLink
from testbed.errors import LinkError
from testbed.model.view import Health


class Known:
    health = Health.UP

    def __init__(self, number: int) -> None:
        self.name = f"known://{number}"
        self.written: list[bytes] = []
        self.closed = 0

    async def open(self) -> None:
        pass

    async def read(self) -> bytes:
        return self.name.encode()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    async def close(self) -> None:
        self.closed += 1


def test_it_is_made_anew_at_every_opening_and_the_old_one_closed() -> None:
    made: list[Known] = []

    def make() -> Known:
        made.append(Known(len(made)))
        return made[-1]

    async def main() -> None:
        link = LateLink("late://board", make)
        assert (link.name, link.health, await link.read()) == ("late://board", Health.DOWN, b"")
        with pytest.raises(LinkError, match="not open") as caught:
            await link.write(b"x")
        assert caught.value.link == "late://board"
        await link.close()
        await link.open()
        await link.write(b"x")
        assert (link.name, link.health, await link.read()) == ("known://0", Health.UP, b"known://0")
        await link.open()
        assert await link.read() == b"known://1"
        await link.close()

    asyncio.run(main())
    assert [known.written for known in made] == [[b"x"], []]
    assert [known.closed for known in made] == [1, 1]
