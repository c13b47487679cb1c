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


def test_another_type_or_shape_is_refused():
    told = ProgramInput((1, 2, 2), [0] * 256, 0)
    layout = Layout(told, np.zeros(told.size, np.uint8))
    for wrong in (np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 3), np.uint8)):
        with pytest.raises(ValueError, match="takes uint8"):
            layout.fill(wrong)
