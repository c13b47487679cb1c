"""Numbers as the device reads them: fixed-point scales, packed weights, parameters of a channel, confidence tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from drivers.npu.isa import LANES, ROWS

if TYPE_CHECKING:
    import numpy.typing as npt

PARAMETERS = np.dtype([("bias", "<i4"), ("multiplier", "<u4"), ("shift", "u1"), ("spare", "V7")])
"""Of one channel, 16 bytes."""
ONE = 32768  # a table's entry for the winning class


def fixed_point(real: float) -> tuple[int, int]:
    """Multiplier below 2^31 and shift 1 to 62 nearest to ``multiplier / 2^shift == real``.

    Raises:
        ValueError: ``real`` is negative or 2^30 or more.
    """
    fraction, exponent = math.frexp(real)
    multiplier, shift = round(fraction * (1 << 31)), 31 - exponent
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift - 1
    if shift > 62:
        multiplier, shift = round(math.ldexp(real, 62)), 62
    if real < 0 or shift < 1:
        raise ValueError(f"a scale of {real} is out of range")
    return multiplier, shift


def confidence_table(scale: float, temperature: float) -> bytes:
    """``round(32768 * exp(-d * scale / temperature))`` for d = 0 to 255, unsigned 16 bits."""
    steps = np.arange(256) * (scale / temperature)
    return bytes(np.rint(ONE * np.exp(-steps)).astype("<u2").tobytes())


def pack(weights: npt.NDArray[np.int8], out_groups: int) -> bytes:
    """Weights (O, I, k, k) as words: output group, input group, ky, kx; byte r * 8 + l, zeros filled in."""
    filters, channels, kernel, _ = weights.shape
    in_groups = -(-channels // LANES)
    filled = np.zeros((out_groups * ROWS, in_groups * LANES, kernel, kernel), np.int8)
    filled[:filters, :channels] = weights
    shaped = filled.reshape(out_groups, ROWS, in_groups, LANES, kernel, kernel)
    return shaped.transpose(0, 2, 4, 5, 1, 3).tobytes()


def unflatten(weights: npt.NDArray[np.int8], shape: tuple[int, int, int]) -> npt.NDArray[np.int8]:
    """Weights of a flattened input, columns in the order in which its words and lanes lie in memory."""
    channels, height, width = shape
    groups = -(-channels // LANES)
    filled = np.zeros((len(weights), groups * LANES, height, width), np.int8)
    filled[:, :channels] = weights.reshape(len(weights), channels, height, width)
    lanes = filled.reshape(len(weights), groups, LANES, height, width).transpose(0, 1, 3, 4, 2)
    return lanes.reshape(len(weights), -1, 1, 1)
