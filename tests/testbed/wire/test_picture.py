import numpy as np
import pytest

from testbed.errors import LocalWireError, RemoteWireError
from testbed.wire.jpeg import FULL, GREY, HALF, Shape
from testbed.wire.picture import FILLS, conceal, encode, fit, lost, lost_rows, restore, rows_of

RAMP = np.tile(np.arange(64, dtype=np.uint8)[:, None] * 3, (1, 48))
COLOUR = np.stack([RAMP, RAMP[::-1], np.full_like(RAMP, 90)], axis=-1)
GREY_FILL, MEAN, NEAREST, LINEAR = range(4)


@pytest.mark.parametrize(
    ("picture", "subsampling", "kind"), [(RAMP, HALF, GREY), (COLOUR, HALF, HALF), (COLOUR, FULL, FULL)]
)
def test_what_arrives_whole_comes_back_nearly_as_it_was(picture, subsampling, kind) -> None:
    shape, segments = encode(picture, quality=95, subsampling=subsampling)
    assert (shape.width, shape.height, shape.subsampling) == (48, 64, kind)
    back = restore(shape, dict(enumerate(segments)), LINEAR)
    assert back.shape == picture.shape
    assert np.abs(back.astype(int) - picture).mean() < 4


def test_lost_rows_and_only_those_are_filled() -> None:
    shape, segments = encode(RAMP, quality=95)
    there = {place: data for place, data in enumerate(segments) if place != 3}
    hole = lost(shape, there)
    assert hole[24:32].all()
    assert hole.sum() == 8 * 48
    found = {fill: restore(shape, there, FILLS.index(fill), (77,)) for fill in FILLS}
    assert (found["grey"][hole] == 128).all()
    assert (found["mean"][hole] == 77).all()
    assert (found["nearest"][24] == found["nearest"][23]).all()
    assert (found["nearest"][31] == found["nearest"][32]).all()
    error = {fill: np.abs(pixels.astype(int) - RAMP)[hole].mean() for fill, pixels in found.items()}
    assert error["linear"] < error["nearest"] < error["grey"]
    for pixels in found.values():
        assert (pixels[~hole] == found["grey"][~hole]).all()


def test_a_line_between_two_rows_is_straight_and_ends_take_the_only_neighbour() -> None:
    pixels = np.zeros((8, 2), np.uint8)
    pixels[2], pixels[6] = 40, 80
    gone = np.ones((8, 2), bool)
    gone[[2, 6]] = False
    conceal(pixels, gone, LINEAR)
    assert pixels[:, 0].tolist() == [40, 40, 40, 50, 60, 70, 80, 80]


def test_a_column_of_which_nothing_arrived_is_grey() -> None:
    pixels = np.zeros((8, 3), np.uint8)
    gone = np.zeros((8, 3), bool)
    gone[:, 1] = True
    conceal(pixels, gone, NEAREST)
    assert (pixels[:, 1] == 128).all()
    assert not pixels[:, [0, 2]].any()


def test_segments_smaller_than_a_row_leave_the_rest_of_the_row() -> None:
    hole = lost(Shape(32, 16, 85, GREY, 1), {0, 1, 2, 4, 5, 6, 7})
    assert hole[:8, 24:].all()
    assert hole.sum() == 64


@pytest.mark.parametrize("shape", [(3, 20, 24), (20, 24, 3)])
def test_another_size_is_scaled_to_the_input(shape) -> None:
    assert fit(COLOUR, shape).shape == shape
    assert fit(RAMP, (1, 64, 48)).tolist() == [RAMP.tolist()]


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(LocalWireError, match="no picture"):
        encode(RAMP.astype(np.float32), quality=85)
    with pytest.raises(LocalWireError, match="no picture"):
        encode(np.zeros((2, 8, 8, 3), np.uint8), quality=85)
    with pytest.raises(RemoteWireError, match="channels"):
        fit(RAMP, (3, 64, 48))


def test_a_segment_of_nonsense_spoils_no_other() -> None:
    shape, segments = encode(RAMP, quality=95)
    there = dict(enumerate(segments))
    good = restore(shape, there, GREY_FILL)
    bad = restore(shape, {**there, 3: bytes(5)}, GREY_FILL)
    assert (bad[:24] == good[:24]).all()
    assert (bad[32:] == good[32:]).all()


def test_what_cannot_be_decoded_is_refused() -> None:
    with pytest.raises(RemoteWireError, match="cannot be decoded"):
        restore(Shape(0, 64, 85, GREY, 6), {}, GREY_FILL)


def ramp(height=64, width=48):
    """Smooth in both directions, so that JPEG changes it little."""
    return (np.arange(height)[:, None] * 2 + np.arange(width)[None, :]).astype(np.uint8)


def colour():
    return np.stack([ramp(), ramp()[::-1], np.full_like(ramp(), 90)], axis=-1)


@pytest.mark.parametrize("layout", ["hw", "chw1", "hwc1", "chw", "hwc"])
def test_every_layout_comes_back(layout):
    pixels = {
        "hw": ramp(),
        "chw1": ramp()[None],
        "hwc1": ramp()[:, :, None],
        "chw": np.ascontiguousarray(colour().transpose(2, 0, 1)),
        "hwc": colour(),
    }[layout]
    shape, segments = encode(pixels, quality=95)
    back = fit(restore(shape, dict(enumerate(segments)), GREY_FILL), pixels.shape)
    assert (back.shape, back.dtype, back.flags.c_contiguous) == (pixels.shape, np.uint8, True)
    assert np.abs(back.astype(int) - pixels).mean() < 4


def test_rows_are_lost_where_nothing_of_them_is_there():
    shape, segments = encode(ramp(), quality=90)
    there = set(range(len(segments))) - {1, 7}
    assert lost_rows(shape, there, (1, 64, 48)) == 0xFF << 8 | 0xFF << 56
    assert rows_of(lost_rows(shape, there, (1, 64, 48))) == [*range(8, 16), *range(56, 64)]
    assert rows_of(0) == []
    assert lost_rows(shape, there, (64, 48, 1)) == lost_rows(shape, there, (64, 48))
    assert lost_rows(shape, set(range(len(segments))), (1, 64, 48)) == 0
    assert lost_rows(shape, there, (1, 32, 24)) == 0
    # Half a row is not a row.
    shape, segments = encode(ramp(), quality=90, interval=3)
    assert lost_rows(shape, set(range(len(segments))) - {2}, (1, 64, 48)) == 0
    assert lost_rows(shape, set(range(len(segments))) - {2, 3}, (1, 64, 48)) == 0xFF << 8


def test_another_size_is_scaled():
    shape, segments = encode(ramp(), quality=90)
    assert fit(restore(shape, dict(enumerate(segments)), GREY_FILL), (1, 32, 32)).shape == (1, 32, 32)


def test_what_is_no_picture_or_not_this_models_is_refused():
    with pytest.raises(LocalWireError, match="no picture"):
        encode(np.zeros((4, 5, 6), np.uint8), quality=80)
    with pytest.raises(LocalWireError, match="float32"):
        encode(np.zeros((8, 8), np.float32), quality=80)
    with pytest.raises(RemoteWireError, match="channels"):
        fit(ramp(), (3, 64, 48))
    with pytest.raises(RemoteWireError, match="channels"):
        fit(ramp(), (5, 5, 5))


@pytest.mark.parametrize("pixels", [ramp(), colour()], ids=["grey", "colour"])
def test_only_what_was_lost_is_grey(pixels):
    shape, segments = encode(pixels, quality=90, interval=2)
    there = {place: data for place, data in enumerate(segments) if place not in (1, 4)}
    gone = lost(shape, there)
    whole = restore(shape, dict(enumerate(segments)), GREY_FILL)
    seen = restore(shape, there, GREY_FILL)
    assert (seen[gone] == 128).all()
    assert gone.mean() == pytest.approx(4 / np.prod(shape.units), abs=0.2)
    if pixels.ndim == 2:  # in colour, the encoder's halved planes bleed into the neighbours
        assert (seen[~gone] == whole[~gone]).all()


def test_fills_are_what_their_names_say():
    pixels = np.repeat(np.arange(0, 60, 10, dtype=np.uint8)[:, None], 3, axis=1)
    gone = np.zeros((6, 3), np.bool_)
    gone[2:5, 0] = True  # between two rows that are there
    gone[4:, 1] = True  # at the edge
    gone[:, 2] = True  # nothing is there
    found = {}
    for fill, name in enumerate(FILLS):
        found[name] = pixels.copy()
        conceal(found[name], gone, fill, (7,))
    assert found["grey"][gone].tolist() == [128] * 11
    assert found["mean"][gone].tolist() == [7] * 11
    assert found["nearest"][:, 0].tolist() == [0, 10, 10, 10, 50, 50]
    assert found["linear"][:, 0].tolist() == [0, 10, 20, 30, 40, 50]
    for name in ("nearest", "linear"):
        assert found[name][:, 1].tolist() == [0, 10, 20, 30, 30, 30]
        assert found[name][:, 2].tolist() == [128] * 6
    for name in FILLS:
        assert (found[name][~gone] == pixels[~gone]).all()


def test_fills_in_colour():
    pixels = np.repeat(np.arange(6, dtype=np.uint8)[:, None, None], 3, axis=2) * 10
    gone = np.zeros((6, 1), np.bool_)
    gone[2:4] = True
    for fill, wanted in ((NEAREST, [10, 40]), (LINEAR, [20, 30])):
        found = pixels.copy()
        conceal(found, gone, fill)
        assert found[2:4, 0, 1].tolist() == wanted
    conceal(pixels, gone, MEAN, (1, 2, 3))
    assert pixels[2, 0].tolist() == [1, 2, 3]


def test_genuine_nonsense_is_refused_not_crashed_on():
    shape, segments = encode(ramp(), quality=90)
    for data in (b"", b"\x00", b"\xff\x00" * 40, bytes(200)):
        try:
            pixels = restore(shape, {**dict(enumerate(segments)), 2: data}, GREY_FILL)
        except RemoteWireError:
            continue
        assert pixels.shape == ramp().shape
