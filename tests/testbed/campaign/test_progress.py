from __future__ import annotations

import asyncio

import pytest

from testbed.campaign import progress
from testbed.campaign.progress import Silent, ticking


class Counting(Silent):
    def __init__(self) -> None:
        self.at: list[int] = []

    def advance(self, n: int = 1) -> None:
        self.at.append(n)


@pytest.fixture
def hurried(monkeypatch):
    """A second passes at once."""
    real = asyncio.sleep
    monkeypatch.setattr(progress.asyncio, "sleep", lambda seconds: real(0))
    return real


async def test_it_advances_by_the_second_and_by_the_rest_at_the_end(hurried):
    bar = Counting()
    async with ticking(bar, 10):
        while len(bar.at) < 4:
            await hurried(0)
    assert bar.at[:4] == [1] * 4
    assert sum(bar.at) == 10


async def test_work_that_takes_longer_does_not_advance_it_beyond_its_end(hurried):
    bar = Counting()
    async with ticking(bar, 3):
        for _ in range(50):
            await hurried(0)
    assert sum(bar.at) == 3


async def test_an_error_inside_comes_out_as_it_is(hurried):
    with pytest.raises(ValueError, match="broken"):
        async with ticking(Counting(), 3):
            raise ValueError("broken")
