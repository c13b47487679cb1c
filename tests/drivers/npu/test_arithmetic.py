"""What engines compute against the formulas of docs/edge-npu.md; whole commands are compared in test_golden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.npu import arithmetic
from drivers.npu.isa import CommandError
from drivers.npu.packing import PARAMETERS

INT8 = st.integers(-128, 127)


def requantised(acc: int, m: int, s: int, zp: int, low: int, high: int) -> int:
    return min(max(((acc * m + (1 << (s - 1))) >> s) + zp, low), high)


@given(
    acc=st.integers(-(1 << 31), (1 << 31) - 1),
    m=st.integers(0, (1 << 31) - 1),
    s=st.integers(1, 62),
    zp=INT8,
    bounds=st.tuples(INT8, INT8),
)
def test_requantise_is_the_formula_at_every_extreme(acc, m, s, zp, bounds):
    low, high = sorted(bounds)
    found = arithmetic.requantise(np.array([acc]), m, s, zp, low, high)
    assert found.dtype == np.int8
    assert found[0] == requantised(acc, m, s, zp, low, high)


def test_halves_are_rounded_up():
    halves = np.array([-3, -1, 1, 3])
    assert arithmetic.requantise(halves, 1, 1, 0, -128, 127).tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize(("weight", "kind"), [(127, np.float64), (1, np.float32)])
def test_weights_are_single_precision_where_every_sum_is_exact_in_it(weight, kind):
    words = np.full((61 * 9, 128), weight, np.int8)
    matrix = arithmetic.weight_matrix(words, 1)
    assert (matrix.dtype, matrix.shape) == (kind, (61 * 9 * 8, 16))


@pytest.mark.parametrize(("multiplier", "shift"), [(1 << 31, 1), (1, 0), (1, 63)])
def test_what_the_requantiser_cannot_do_is_told_by_channel(multiplier, shift):
    parameters = np.zeros(3, PARAMETERS)
    parameters["shift"] = 1
    arithmetic.check_parameters(parameters)
    parameters["multiplier"][2], parameters["shift"][2] = multiplier, shift
    with pytest.raises(CommandError, match=f"channel 2 is multiplied by {multiplier} and shifted by {shift}"):
        arithmetic.check_parameters(parameters)


def test_a_total_counts_how_far_each_logit_is_behind_the_largest():
    table = np.arange(256, dtype=np.uint16)
    logits = np.array([[-128, 127, 0], [5, 5, 5]], np.int8)
    assert arithmetic.softmax_totals(logits, table).tolist() == [255 + 0 + 127, 0]
