import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.campaign.loss.pictures import arrived, losses, mean_of, send, whole, worst_of
from testbed.campaign.loss.spec import LossStudy, Packets
from testbed.errors import LocalWireError
from testbed.wire.picture import FILLS

NOISE = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
PACKETS = Packets(units=2, limit_bytes=1200)
SENT = send(NOISE, PACKETS)
STUDY = LossStudy(
    schema=1, kind="loss", name="x", frontends=("a",), backend="b", targets=(0.5,), buckets=(0.5,)
)


def test_every_segment_travels_once_in_packets_of_the_size() -> None:
    places = [place for packet in SENT.packets for place in packet]
    assert sorted(places) == list(range(SENT.shape.segments))
    assert SENT.sent_bytes <= 1200 * len(SENT.packets)
    assert len(SENT.packets) > 3


def test_a_segment_too_large_for_a_packet_is_refused() -> None:
    with pytest.raises(LocalWireError, match="does not fit"):
        send(NOISE, Packets(units=0, limit_bytes=300))


def test_all_fills_agree_where_something_arrived() -> None:
    found = arrived(SENT, [0], FILLS, (1, 2, 3))
    hole = (found["mean"] == [1, 2, 3]).all(axis=2)
    assert hole.mean() == pytest.approx(SENT.share([0]), abs=0.01)
    for fill in FILLS:
        assert (found[fill][~hole] == whole(SENT)[~hole]).mean() > 0.9  # chroma is scaled over the edge
    assert (found["grey"][hole] == 128).all()


def test_nothing_lost_is_the_whole_picture() -> None:
    assert (arrived(SENT, [], ("linear",), ())["linear"] == whole(SENT)).all()
    assert SENT.share([]) == 0.0


@given(st.floats(0.0, 1.0), st.integers(0, 1000))
def test_a_bucket_is_filled_and_not_overfilled(bucket, seed) -> None:
    gone = worst_of(SENT, bucket, (seed,))
    assert SENT.share(gone) <= bucket + 1e-6
    left = set(range(len(SENT.packets))) - set(gone)
    assert all(SENT.share([*gone, number]) > bucket for number in left)


def test_losses_follow_seed_pattern_and_share() -> None:
    sent = [SENT] * 400
    alone, bursts = losses(STUDY, sent, "iid", 0.1), losses(STUDY, sent, "bursts", 0.1)
    assert alone == losses(STUDY, sent, "iid", 0.1)
    assert alone != losses(msgspec.structs.replace(STUDY, seed=2), sent, "iid", 0.1)
    assert len(alone) == len(bursts) == 400
    assert sum(map(bool, bursts)) < sum(map(bool, alone))  # the same share in fewer pictures
    assert max(number for lost in alone for number in lost) < len(SENT.packets)


def test_mean_is_per_channel() -> None:
    assert mean_of([np.full((2, 2, 3), [1, 2, 3], np.uint8), np.full((2, 2, 3), [3, 4, 5], np.uint8)]) == (
        2,
        3,
        4,
    )
    assert mean_of([np.full((2, 2), 9, np.uint8)]) == (9,)
