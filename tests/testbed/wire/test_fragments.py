import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.fragments import LIMIT_BYTES, Gathering, pack, unpack
from testbed.wire.jpeg import HALF, Shape, split
from tests.testbed.wire.test_jpeg import encode, picture

DATA = encode(picture(224, 224))
SHAPE, SEGMENTS = split(DATA, 85)


def gather(fragments):
    gathering = Gathering(fragments[0])
    for fragment in fragments[1:]:
        gathering.add(fragment)
    return gathering


def test_a_picture_survives_packets_in_any_order_and_twice() -> None:
    contents = pack(7, SHAPE, SEGMENTS, b"order")
    assert len(contents) >= 10
    assert max(map(len, contents)) <= LIMIT_BYTES
    fragments = [unpack(content) for content in contents]
    gathering = gather([*fragments[::-1], *fragments])
    assert gathering.complete
    assert gathering.lost_frac == 0
    assert gathering.picture() == DATA
    assert gathering.first.order == b"order"


@given(st.sets(st.integers(0, len(pack(7, SHAPE, SEGMENTS)) - 1), min_size=1))
@settings(max_examples=40, deadline=None)
def test_what_is_there_is_used_and_what_is_not_is_known(kept) -> None:
    fragments = [unpack(content) for content in pack(7, SHAPE, SEGMENTS)]
    gathering = gather([fragments[i] for i in sorted(kept)])
    there = {place for i in kept for place in fragments[i].segments}
    assert gathering.complete == (len(kept) == len(fragments))
    assert set(gathering.missing) == set(range(SHAPE.segments)) - there
    assert gathering.lost_frac == pytest.approx(1 - len(there) / SHAPE.segments)


def test_a_burst_takes_rows_that_lie_apart() -> None:
    small = [segment[:150] for segment in SEGMENTS]
    contents = pack(1, SHAPE, small, limit=700)
    for content in contents:
        places = sorted(unpack(content).segments)
        assert all(b - a > 1 for a, b in itertools.pairwise(places))


@given(st.binary(max_size=200))
def test_nonsense_is_refused_and_never_raises_anything_else(content) -> None:
    with pytest.raises(RemoteWireError):
        unpack(content)


@given(st.integers(0, 400), st.integers(0, 255))
@settings(deadline=None)
def test_damage_is_refused_or_read_as_another_valid_fragment(at, value) -> None:
    content = bytearray(pack(7, SHAPE, SEGMENTS)[0])
    content[at % len(content)] = value
    try:
        fragment = unpack(bytes(content))
    except RemoteWireError:
        return
    assert fragment.number < fragment.packets
    assert all(place < fragment.shape.segments for place in fragment.segments)


def test_impossible_shapes_are_refused() -> None:
    content = bytearray(pack(7, SHAPE, SEGMENTS)[0])
    struct.pack_into(">HH", content, 8, 65535, 65535)
    with pytest.raises(RemoteWireError, match="cannot be"):
        unpack(bytes(content))


def test_contradictions_are_refused() -> None:
    first = unpack(pack(7, SHAPE, SEGMENTS)[0])
    other = unpack(pack(7, SHAPE, SEGMENTS, b"other order")[1])
    with pytest.raises(RemoteWireError, match="contradicts"):
        Gathering(first).add(other)


def test_a_segment_that_fits_no_packet_is_refused_with_the_cure() -> None:
    with pytest.raises(LocalWireError, match="restart markers"):
        pack(1, Shape(16, 16, 85, HALF, 1), [bytes(LIMIT_BYTES)])
