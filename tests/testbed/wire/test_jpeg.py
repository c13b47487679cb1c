import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from testbed.errors import LocalWireError
from testbed.wire.jpeg import FULL, GREY, HALF, header, join, lost_frac, split

PILLOW = {GREY: None, FULL: 0, HALF: 2}


def picture(width=96, height=64, colour=True, seed=1):
    """Something with slopes and edges, so that segments differ in size."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [(128 + 90 * np.sin(x / (5 + i) + y / 9) + rng.normal(0, 9, x.shape)) for i in range(3)]
    pixels = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels if colour else pixels[:, :, 0])


def encode(image, *, quality=85, subsampling=HALF, **restart):
    out = io.BytesIO()
    more = {} if PILLOW[subsampling] is None else {"subsampling": PILLOW[subsampling]}
    image.save(out, "JPEG", quality=quality, **more, **(restart or {"restart_marker_rows": 1}))
    return out.getvalue()


def decode(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@given(
    st.integers(1, 130),
    st.integers(1, 130),
    st.integers(1, 100),
    st.sampled_from([GREY, FULL, HALF]),
    st.sampled_from([{"restart_marker_rows": 1}, {"restart_marker_blocks": 3}, {"restart_marker_blocks": 1}]),
)
@settings(max_examples=60, deadline=None)
def test_the_encoder_s_bytes_come_back_from_shape_and_segments(
    width, height, quality, subsampling, restart
) -> None:
    data = encode(
        picture(width, height, subsampling != GREY), quality=quality, subsampling=subsampling, **restart
    )
    shape, segments = split(data, quality)
    assert (shape.width, shape.height, shape.subsampling) == (width, height, subsampling)
    assert join(shape, dict(enumerate(segments))) == data


@given(st.sets(st.integers(0, 7)), st.sampled_from([GREY, FULL, HALF]))
@settings(max_examples=40, deadline=None)
def test_only_lost_rows_are_damaged_and_they_are_grey(lost, subsampling) -> None:
    image = picture(96, 128 if subsampling == HALF else 64, subsampling != GREY)
    data = encode(image, subsampling=subsampling)
    shape, segments = split(data, 85)
    assert shape.segments == 8
    whole = decode(data)
    found = decode(join(shape, {i: s for i, s in enumerate(segments) if i not in lost}))
    side = shape.unit
    for row in range(8):
        # Smooth upsampling of colour looks one line over the edge of a halved plane.
        rim = 1 if subsampling == HALF else 0
        inner = slice(row * side + rim, (row + 1) * side - rim)
        if row in lost:
            assert (found[inner] == 128).all()
        else:
            np.testing.assert_array_equal(found[inner], whole[inner])


def test_more_than_eight_lost_in_a_row_shift_nothing() -> None:
    data = encode(picture(64, 320))
    shape, segments = split(data, 85)
    kept = {i: s for i, s in enumerate(segments) if not 4 <= i < 14}
    found, whole = decode(join(shape, kept)), decode(data)
    np.testing.assert_array_equal(found[15 * 16 :], whole[15 * 16 :])
    np.testing.assert_array_equal(found[: 4 * 16 - 1], whole[: 4 * 16 - 1])


def test_lost_share_is_of_pixels_units_not_of_segments() -> None:
    shape, segments = split(encode(picture(96, 64), restart_marker_blocks=5), 85)
    assert shape.units == (6, 4)
    assert len(segments) == 5  # four of five units and one of four
    assert lost_frac(shape, range(5)) == 0
    assert lost_frac(shape, range(4)) == pytest.approx(4 / 24)
    assert lost_frac(shape, [4, 4]) == pytest.approx(20 / 24)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-2],
        lambda data: b"GIF" + data,
        lambda data: data[:30],
        lambda data: data.replace(b"\xff\xd1", b"\x12\x34", 1),
        lambda data: data.replace(b"\xff\xd1", b"\xff\xc0", 1),
        lambda data: b"",
    ],
)
def test_what_is_no_such_picture_is_refused(spoil) -> None:
    with pytest.raises(LocalWireError):
        split(spoil(encode(picture())), 85)


@pytest.mark.parametrize(
    ("more", "quality"),
    [({}, 84), ({"optimize": True}, 85), ({"progressive": True}, 85), ({"restart_marker_rows": 0}, 85)],
)
def test_a_header_that_could_not_be_rebuilt_is_refused(more, quality) -> None:
    out = io.BytesIO()
    picture().save(out, "JPEG", quality=85, subsampling=2, **{"restart_marker_rows": 1, **more})
    with pytest.raises(LocalWireError):
        split(out.getvalue(), quality)


def test_a_segment_of_another_picture_is_refused() -> None:
    shape, _ = split(encode(picture()), 85)
    with pytest.raises(LocalWireError):
        join(shape, {shape.segments: b""})
    assert header(shape)[:2] == b"\xff\xd8"
