from __future__ import annotations

import numpy as np
import pytest

from testbed.campaign.profiling.stopping import StopRule


def times(n: int, spread: float, seed: int = 1) -> list[int]:
    return (1e6 * np.random.default_rng(seed).lognormal(0, spread, n)).astype(int).tolist()


def test_narrow_enough_after_three_blocks():
    rule = StopRule(ci_frac=0.05)
    assert rule.stop(times(300, 0.05), blocks=3) == "precise"
    assert rule.stop(times(300, 0.05), blocks=2) is None
    assert rule.stop(times(300, 1.0), blocks=3) is None
    assert rule.stop([], blocks=0) is None


def test_the_p99_takes_many_more():
    rule = StopRule(ci_frac=0.05, p99=True)
    few, many = times(300, 0.05), times(20_000, 0.05)
    assert rule.stop(few, blocks=3) is None, "300 values have no interval for a p99"
    assert rule.stop(many, blocks=200) == "precise"


def test_so_many_as_asked_whatever_the_precision():
    rule = StopRule(ci_frac=0.05, repeats=20)
    assert rule.stop(times(19, 0.0), blocks=5) is None
    assert rule.stop(times(20, 2.0), blocks=1) == "repeats"


def test_intervals_that_stop_it_cover_the_truth():
    """Of many cells that stopped as precise, about 95 % have the true median inside."""
    rule, inside, stopped = StopRule(ci_frac=0.1), 0, 0
    for seed in range(300):
        drawn = times(400, 0.3, seed)
        if rule.stop(drawn, 4) == "precise":
            stopped += 1
            ordered = np.sort(drawn)
            inside += bool(ordered[179] <= 1e6 <= ordered[220])
    assert stopped > 100
    assert inside / stopped > 0.9


@pytest.mark.parametrize(
    "rule", [StopRule(ci_frac=0.05), StopRule(ci_frac=0.05, p99=True), StopRule(ci_frac=0.05, repeats=50)]
)
def test_the_share_done_stays_within_bounds_and_ends_at_one(rule):
    shares = [rule.done_frac(times(n, 0.2), blocks=n // 50) for n in (0, 50, 200, 1000)]
    assert all(0 <= share <= 1 for share in shares)
    assert shares == sorted(shares)
    assert rule.done_frac([1_000] * 5000, blocks=50) == 1
