"""Pixels come to lie where the program looks for them."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.agent.runtimes.overlay.layout import Layout
from drivers.agent.runtimes.overlay.program_file import ProgramInput


@pytest.mark.parametrize("channels", [1, 3, 8, 11])
def test_channels_are_lanes_of_words_in_groups(channels):
    rng = np.random.default_rng(channels)
    levels = rng.integers(-128, 128, 256)
    told = ProgramInput((channels, 3, 5), levels.tolist(), -7)
    buffer = np.zeros(told.size, np.uint8)
    layout = Layout(told, buffer)
    for _ in range(2):
        pixels = rng.integers(0, 256, (channels, 3, 5), np.uint8)
        layout.fill(pixels)
        padded = np.full((told.groups * 8, 3, 5), -7)
        padded[:channels] = levels[pixels]
        expected = padded.reshape(told.groups, 8, 3, 5).transpose(0, 2, 3, 1)
        assert np.array_equal(buffer.view(np.int8).reshape(told.groups, 3, 5, 8), expected)


def test_lost_rows_are_masked_where_their_place_was_taken_by_the_neutral_value():
    levels = [value - 128 for value in range(256)]
    told = ProgramInput((3, 6, 5), levels, levels[70])
    buffer = np.zeros(told.size, np.uint8)
    layout = Layout(told, buffer)
    rows = buffer.view(np.int8).reshape(told.groups, 6, 5, 8)
    layout.fill(np.full((3, 6, 5), 9, np.uint8))
    pixels = np.full((3, 6, 5), 200, np.uint8)
    pixels[:, 2:5] = 70
    pixels[1, 4, 0] = 71  # not neutral in one channel
    assert layout.fill(pixels, lost_rows=0b011110) == 0b001100
    assert (rows[0, 2:4, :, :3] == levels[9]).all()  # left out: what an earlier item had there
    assert (rows[0, [0, 1, 5], :, :3] == levels[200]).all()
    assert rows[0, 4, 0].tolist()[:3] == [levels[70], levels[71], levels[70]]
    assert (rows[..., 3:] == levels[70]).all()
    assert layout.fill(pixels) == 0
    assert (rows[0, 2:4, :, :3] == levels[70]).all()


def test_more_rows_than_the_overlay_can_mask_are_written():
    told = ProgramInput((1, 257, 1), list(range(-128, 128)), -128)
    layout = Layout(told, np.zeros(told.size, np.uint8))
    assert layout.fill(np.zeros((1, 257, 1), np.uint8), lost_rows=1) == 0


def test_another_type_or_shape_is_refused():
    told = ProgramInput((1, 2, 2), [0] * 256, 0)
    layout = Layout(told, np.zeros(told.size, np.uint8))
    for wrong in (np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 3), np.uint8)):
        with pytest.raises(ValueError, match="takes uint8"):
            layout.fill(wrong)
