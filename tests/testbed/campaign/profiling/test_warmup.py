from __future__ import annotations

import numpy as np
import pytest

from testbed.campaign.profiling.warmup import SHORTEST, WarmUp, find_warmup


def steady(n: int, seed: int, scale: float = 1e6) -> list[int]:
    """Service times with the long tail that real ones have."""
    rng = np.random.default_rng(seed)
    return (scale * (1 + rng.gamma(1.5, 0.02, n) + (rng.random(n) < 0.02) * 0.8)).astype(int).tolist()


@pytest.mark.parametrize("length", [3, 8, 20])
@pytest.mark.parametrize("seed", range(5))
def test_a_step_is_found_within_two(length, seed):
    times = [int(x * 1.5) for x in steady(length, seed)] + steady(80, seed + 100)
    found = find_warmup(times)
    assert found.settled
    assert abs(found.length - length) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_a_decay_ends_where_it_cannot_be_told_from_the_spread(seed):
    times = np.asarray(steady(100, seed)) * (1 + 3 * np.exp(-np.arange(100) / 5))
    found = find_warmup(times.astype(int).tolist())
    assert found.settled
    assert 8 <= found.length <= 40
    assert np.median(times[found.length : found.length + 10]) < 1.08 * np.median(times[60:])


def test_one_that_starts_quick_is_found_too():
    assert 4 <= find_warmup([600_000] * 6 + steady(60, 1)).length <= 8


def test_a_steady_series_loses_next_to_nothing():
    lost = [find_warmup(steady(100, seed), cold=False).length for seed in range(200)]
    assert np.mean(lost) < 2.0
    assert np.median(lost) == 0


def test_the_first_alone_is_warmup_when_cold_and_tail_otherwise():
    times = [9_000_000, *steady(40, 3)]
    assert find_warmup(times, cold=True).length == 1
    assert find_warmup(times, cold=False).length == 0


def test_an_ordinary_outlier_in_first_place_is_kept():
    times = steady(40, 3)
    slow = max(times)
    seen_later = [*(ns for ns in times if ns != slow), slow]
    assert find_warmup([slow, *seen_later]).length == 0


def test_a_trend_that_goes_on_has_not_settled():
    times = np.linspace(3e6, 1e6, 60).astype(int).tolist()
    assert find_warmup(times) == WarmUp(length=30, settled=False)


def test_too_few_tell_nothing():
    assert find_warmup([5, *[1] * (SHORTEST - 2)]) == WarmUp(length=0)


def test_equal_times_have_none():
    assert find_warmup([1_000] * 40) == WarmUp(length=0)
