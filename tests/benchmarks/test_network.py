import numpy as np
import pytest

from benchmarks.network import BURSTS, COUNTS, HEADERS, Seen, delivered_bytes_per_s


def test_rate_counts_whole_packets_after_the_first() -> None:
    at = np.array([0, 100, 200, 300], dtype=np.int64) * 1_000_000
    seen = Seen(np.arange(4), at, at, np.full(4, 972))
    assert delivered_bytes_per_s(seen) == pytest.approx(3 * (972 + HEADERS) / 0.3)


def test_enough_packets_for_what_is_claimed() -> None:
    assert sum(COUNTS.values()) >= 100_000
    assert 0.03 < BURSTS.mean_frac < 0.07
