import numpy as np

from benchmarks.rows import SIDE, by_rows, packets, photograph, whole


def test_a_picture_fills_packets_and_both_ways_take_time() -> None:
    picture = photograph(np.random.default_rng(0))
    assert picture.shape == (SIDE, SIDE, 3)
    shape, came = packets(picture)
    assert len(came) >= 10
    assert sorted(place for packet in came for place in packet) == list(range(shape.segments))
    for way in (whole, by_rows):
        after, total = way(shape, came)
        assert 0 < after <= total
