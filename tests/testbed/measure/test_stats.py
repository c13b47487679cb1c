"""Intervals cover what they promise to cover."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from testbed.measure.stats import (
    LONG,
    block_length,
    difference,
    mcnemar,
    mean_of,
    paired_difference,
    quantile,
    quantile_of,
    smallest_sample,
    upper_share,
    wilson,
    wilson_of,
)


@pytest.mark.parametrize(("q", "truth"), [(0.5, np.log(2)), (0.95, -np.log(0.05)), (0.99, -np.log(0.01))])
def test_quantile_interval_covers_the_truth_as_often_as_promised(q, truth):
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        low, high = quantile(rng.exponential(size=800), q).interval
        hits += low <= truth <= high
    assert hits >= 0.92 * 400


def test_p99_needs_368_values_for_an_interval():
    assert smallest_sample(0.99) == 368
    assert quantile(np.arange(368.0), 0.99).interval is not None
    short = quantile(np.arange(367.0), 0.99)
    assert short.interval is None
    assert short.value is not None
    assert "368" in short.reason


def test_quantile_of_nothing_is_nothing_with_a_reason():
    found = quantile(np.asarray([]), 0.5)
    assert found.value is None
    assert found.reason


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=200), st.sampled_from([0.1, 0.5, 0.9]))
def test_quantile_interval_holds_its_value_and_ignores_the_order(values, q):
    found = quantile(np.asarray(values), q)
    assert found == quantile(np.asarray(values[::-1]), q)
    if found.interval is not None:
        assert found.low <= found.value <= found.high


@given(st.integers(1, 500), st.data())
def test_wilson_agrees_with_scipy(n, data):
    k = data.draw(st.integers(0, n))
    expected = binomtest(k, n).proportion_ci(method="wilson")
    found = wilson(k, n)
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_repeated_inputs_widen_the_interval():
    assert wilson_of(0.9, 1000, 100).low < wilson_of(0.9, 1000, 1000).low
    assert wilson(0, 0).reason


def test_pairing_takes_out_what_both_share():
    rng = np.random.default_rng(5)
    shared = rng.exponential(50, 1000)
    a, b = shared + rng.normal(3, 1, 1000), shared + rng.normal(0, 1, 1000)
    paired = paired_difference(a, b, mean_of)
    apart = difference(a, b, mean_of)
    assert paired.low > 2.8
    assert paired.high < 3.2
    assert apart.low < 0 < apart.high


def test_paired_difference_covers_a_known_shift():
    rng = np.random.default_rng(6)
    hits = 0
    for seed in range(60):
        noise = rng.normal(0, 1, (2, 200))
        found = paired_difference(noise[0] + 1, noise[1], mean_of, seed=seed, resamples=400)
        hits += found.low <= 1 <= found.high
    assert hits >= 52


def test_neighbours_drawn_together_widen_the_interval_of_a_queue():
    rng = np.random.default_rng(7)
    a = np.repeat(rng.exponential(10, 200), 10)  # ten neighbours share their fate
    zero = np.zeros_like(a)
    alone = paired_difference(a, zero, mean_of)
    together = paired_difference(a, zero, mean_of, block=block_length(a.size))
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=(2, 300))
    assert paired_difference(a, b, mean_of, seed=1) == paired_difference(a, b, mean_of, seed=1)
    assert paired_difference(a, b, mean_of, seed=1) != paired_difference(a, b, mean_of, seed=2)


def test_two_thousand_resamples_of_the_p99_of_two_thousand_requests_take_under_a_second():
    rng = np.random.default_rng(9)
    a, b = rng.exponential(size=(2, 2000))
    began = time.process_time()
    paired_difference(a, b, quantile_of(0.99), block=13)
    assert time.process_time() - began < 1.0


def test_what_cannot_be_paired():
    with pytest.raises(ValueError, match="equal shapes"):
        paired_difference(np.zeros(3), np.zeros(4), mean_of)
    assert paired_difference(np.zeros(1), np.zeros(1), mean_of).reason
    assert difference(np.zeros(1), np.zeros(9), mean_of).reason


def test_mcnemar_is_the_binomial_test_on_the_discordant():
    a = np.asarray([True] * 12 + [False] * 3 + [True] * 50)
    b = np.asarray([False] * 12 + [True] * 3 + [True] * 50)
    assert mcnemar(a, b) == pytest.approx(binomtest(3, 15).pvalue)
    assert mcnemar(a, a) == 1.0


def test_replicates_that_differ_widen_the_interval_of_a_paired_difference():
    rng = np.random.default_rng(3)
    replicate = np.repeat(np.arange(6), 200)
    between = rng.normal(0, 1.0, 6)[replicate]
    a, b = between + rng.normal(0, 1.0, 1200), np.zeros(1200)
    plain = paired_difference(a, b, mean_of)
    nested = paired_difference(a, b, mean_of, replicate=replicate)
    assert nested.value == plain.value
    # Six replicates of standard deviation 1 leave about 0.4 in the mean; 1,200 independent pairs about 0.03.
    assert nested.high - nested.low > 5 * (plain.high - plain.low)


def test_one_replicate_is_no_replicate():
    a = np.random.default_rng(1).normal(0, 1, 300)
    one = np.zeros(300, dtype=np.int64)
    assert paired_difference(a, a * 0, mean_of, block=7, replicate=one) == paired_difference(
        a, a * 0, mean_of, block=7
    )


def test_upper_bound_of_a_share_is_where_so_few_become_rare():
    from scipy.stats import binom

    assert binom.cdf(180, 200, upper_share(180, 200)) == pytest.approx(0.05, abs=1e-9)
    assert upper_share(200, 200) == 1.0
    assert upper_share(0, 10) == pytest.approx(1 - 0.05**0.1)


def test_long_series_take_their_interval_from_batches() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(5.0, 1.0, LONG)
    b = a - 1.0 + rng.normal(0.0, 0.5, LONG)
    found = paired_difference(a, b, mean_of)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1.0 < found.high
    # the standard error of the mean is 0.5 / sqrt(n), whichever way it is estimated
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / LONG**0.5, rel=0.4)
    tail = paired_difference(a, b, quantile_of(0.99))
    assert tail.low is not None
    assert tail.low < float(np.quantile(a, 0.99) - np.quantile(b, 0.99)) < (tail.high or 0.0)
