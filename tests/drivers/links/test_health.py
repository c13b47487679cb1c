from __future__ import annotations

from random import Random

import pytest

from drivers.links.health import Backoff, Sign, next_health
from testbed.model.view import Health

UP, DEGRADED, DOWN = Health.UP, Health.DEGRADED, Health.DOWN


@pytest.mark.parametrize(
    ("state", "opened", "heard", "late"),
    [(DOWN, UP, DOWN, DOWN), (UP, UP, UP, DEGRADED), (DEGRADED, UP, UP, DEGRADED)],
)
def test_table(state, opened, heard, late):
    assert next_health(state, Sign.OPENED) is opened
    assert next_health(state, Sign.HEARD) is heard
    assert next_health(state, Sign.LATE) is late
    assert next_health(state, Sign.LOST) is DOWN


def test_backoff_doubles_up_to_its_cap():
    waits = Backoff(Random(1), first_s=1, cap_s=8, jitter_frac=0)
    assert [waits.next_s() for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    waits.reset()
    assert waits.next_s() == 1


def test_backoff_jitter_shortens_only_and_comes_from_the_seed():
    first, second = (Backoff(Random(7), first_s=1, cap_s=100, jitter_frac=0.5) for _ in range(2))
    drawn = [first.next_s() for _ in range(6)]
    assert drawn == [second.next_s() for _ in range(6)]
    assert all(2**i * 0.5 <= wait <= 2**i for i, wait in enumerate(drawn))
    assert len({wait / 2**i for i, wait in enumerate(drawn)}) == 6


def test_backoff_survives_ten_thousand_attempts():
    waits = Backoff(Random(0), cap_s=5)
    for _ in range(10_000):
        assert waits.next_s() <= 5
