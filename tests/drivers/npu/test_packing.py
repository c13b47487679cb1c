"""Multipliers near their value, tables near the exponential, weights where the device looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.npu import packing


@given(st.floats(1e-9, 1e6))
def test_multiplier_and_shift_are_the_scale(real):
    multiplier, shift = packing.fixed_point(real)
    assert 0 <= multiplier < 1 << 31
    assert 1 <= shift <= 62
    assert math.ldexp(multiplier, -shift) == pytest.approx(real, rel=2**-30)


def test_scales_at_the_ends():
    assert packing.fixed_point(0.0)[0] == 0
    assert packing.fixed_point(1.0) == (1 << 30, 30)
    assert packing.fixed_point(math.nextafter(1.0, 0)) == (1 << 30, 30), "rounded up to the next power"
    assert packing.fixed_point(2.0**-40)[1] == 62, "small ones lose bits rather than leave the field"
    for real in (-0.1, 2.0**31):
        with pytest.raises(ValueError, match="out of range"):
            packing.fixed_point(real)


@given(st.floats(1e-3, 1.0), st.floats(0.25, 4.0))
def test_a_confidence_table_is_the_exponential(scale, temperature):
    table = np.frombuffer(packing.confidence_table(scale, temperature), "<u2")
    assert table[0] == 32768
    assert (np.diff(table.astype(int)) <= 0).all()
    assert np.abs(table / 32768 - np.exp(-np.arange(256) * scale / temperature)).max() <= 0.5 / 32768 + 1e-12


def test_parameters_of_a_channel_take_sixteen_bytes():
    assert packing.PARAMETERS.itemsize == 16


def test_weights_of_a_flattened_input_stand_in_the_order_of_its_memory():
    rng = np.random.default_rng(1)
    weights = rng.integers(-128, 128, (3, 10 * 2 * 4, 1, 1)).astype(np.int8)
    found = packing.unflatten(weights, (10, 2, 4)).reshape(3, 2, 2, 4, 8)  # group, row, column, lane
    whole = weights.reshape(3, 10, 2, 4)
    for channel in range(10):
        assert (found[:, channel // 8, :, :, channel % 8] == whole[:, channel]).all()
    assert not found[:, 1, :, :, 2:].any()
