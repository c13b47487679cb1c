import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import RemoteWireError
from testbed.wire.jpeg import FULL, GREY, HALF
from testbed.wire.picture import FILLS, encode, restore
from testbed.wire.strips import Strips

NEAREST = FILLS.index("nearest")
NOISE = np.random.default_rng(3).integers(0, 255, (45, 70, 3), np.uint8)
SMOOTH = np.stack([np.add.outer(np.arange(45) * 2, np.arange(70))] * 3, axis=-1).astype(np.uint8)


def by_rows(shape, segments, fill=0, mean=()):
    strips = Strips(shape)
    for place, segment in segments:
        strips.add({place: segment})
    return strips.finish(fill, mean)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_without_halved_colours_it_is_the_same_to_the_bit_whatever_comes_and_when(data) -> None:
    subsampling = data.draw(st.sampled_from([GREY, FULL]))
    height, width = data.draw(st.integers(1, 45)), data.draw(st.integers(1, 70))
    interval = data.draw(st.integers(0, 12))
    picture = NOISE[:height, :width, 0] if subsampling == GREY else NOISE[:height, :width]
    shape, segments = encode(picture, quality=90, interval=interval, subsampling=FULL)
    came = data.draw(st.lists(st.sampled_from(list(enumerate(segments))), unique_by=lambda one: one[0]))
    assert (by_rows(shape, came, NEAREST) == restore(shape, dict(came), NEAREST)).all()


@pytest.mark.parametrize("interval", [0, 2, 3])
def test_with_halved_colours_only_borders_differ(interval) -> None:
    shape, segments = encode(SMOOTH, quality=90, interval=interval, subsampling=HALF)
    found = by_rows(shape, reversed(list(enumerate(segments))))
    whole = restore(shape, dict(enumerate(segments)), 0)
    assert found.shape == whole.shape == SMOOTH.shape
    assert np.abs(found.astype(int) - whole).max() <= 6
    assert np.abs(found.astype(int) - SMOOTH).mean() < 4


def test_nothing_at_all_is_grey_and_what_came_twice_counts_once() -> None:
    shape, segments = encode(SMOOTH, quality=90)
    assert (Strips(shape).finish(0) == 128).all()
    strips = Strips(shape)
    strips.add({0: segments[0]})
    strips.add({0: b"another"})
    assert strips.there == {0}


def test_a_segment_that_is_none_is_refused_by_its_place() -> None:
    shape, _ = encode(SMOOTH, quality=90)
    with pytest.raises(RemoteWireError, match="segment 1 of the picture"):
        Strips(shape).add({1: b"\xff\xd8"})
