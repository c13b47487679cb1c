"""What the edge NPU's engines compute, on arrays, in integers: one function a kind of command.

Sums of products go through floating-point matrix products where these are exact (every partial sum below 2^24, or
2^53), everything else is integer arithmetic. Where operands lie is the golden model's business. Planes are
int8 (images, groups, rows, columns, 8); docs/edge-npu.md has the formulas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from drivers.npu.isa import LANES, ROWS, CommandError

if TYPE_CHECKING:
    from drivers.npu.isa import Add, AvgPool, Conv, MaxPool

Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.floating]

_SHIFT_MOST, _MULTIPLIER_MOST = 62, (1 << 31) - 1
_EXACT_IN_FLOAT32 = 1 << 24
# Multiply-accumulates up to which OpenBLAS stays on one thread. Source: OpenBLAS, interface/gemm.c,
# SMP_THRESHOLD_MIN * GEMM_MULTITHREAD_THRESHOLD.
_UNTHREADED = 65536 * 4


def check_parameters(parameters: npt.NDArray[np.void]) -> None:
    """Raises CommandError for what the requantiser cannot do."""
    shift, multiplier = parameters["shift"], parameters["multiplier"]
    wrong = (shift < 1) | (shift > _SHIFT_MOST) | (multiplier > _MULTIPLIER_MOST)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise CommandError(f"channel {at} is multiplied by {multiplier[at]} and shifted by {shift[at]}")


def requantise(
    sums: npt.NDArray[np.integer],
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    zero_point: int,
    low: int,
    high: int,
) -> Int8:
    """``clamp((sums * multiplier + 2^(shift-1) >> shift) + zero_point, low, high)`` in 64 bits, half up.

    Args:
        sums: 32-bit accumulators, any shape; ``multiplier`` and ``shift`` broadcast against it.
        multiplier: 0 to 2^31 - 1.
        shift: 1 to 62.
    """
    right = np.asarray(shift, np.int64)
    value = sums.astype(np.int64) * np.asarray(multiplier, np.int64)
    value += np.int64(1) << (right - 1)
    value >>= right
    value += zero_point
    return np.clip(value, low, high, out=value).astype(np.int8)


def weight_matrix(words: Int8, out_groups: int) -> Floats:
    """Weights (K, channels), K in the order group, ky, kx, lane; single precision if sums stay exact.

    Args:
        words: as they lie in the memory WGT, int8 (out_groups * taps, 128).
    """
    taps = len(words) // out_groups
    shaped = words.reshape(out_groups, taps, ROWS, LANES)
    whole = shaped.transpose(1, 3, 0, 2).reshape(taps * LANES, out_groups * ROWS)
    bound = int(np.abs(whole.astype(np.int64)).sum(0).max()) * 128
    return np.ascontiguousarray(whole, np.float32 if bound < _EXACT_IN_FLOAT32 else np.float64)


def convolve(planes: Int8, matrix: Floats, parameters: npt.NDArray[np.void], command: Conv) -> Int8:
    """Convolution of ``planes``, requantised.

    Args:
        matrix: of `weight_matrix`. parameters: of `drivers.npu.packing.PARAMETERS`, (channels,).
    """
    count, groups = planes.shape[:2]
    height, width, kernel, stride = command.out_height, command.out_width, command.kernel, command.stride
    padded = _padded(planes, command, matrix.dtype)
    n, g, y, x, _ = padded.strides
    # Windows share memory; one row of a window is kernel * 8 neighbours.
    windows = np.lib.stride_tricks.as_strided(
        padded,
        (count, height, width, groups, kernel, kernel * LANES),
        (n, y * stride, x * stride, g, y, padded.itemsize),
        writeable=False,
    )
    # In slices, since BLAS would start threads for the whole, which on a busy host wait for each other.
    rows = _slice(count * height * width, _UNTHREADED // matrix.size)
    sums = (windows.reshape(-1, rows, len(matrix)) @ matrix).astype(np.int64)
    sums += parameters["bias"]
    y8 = requantise(
        sums, parameters["multiplier"], parameters["shift"], command.zero_point, command.low, command.high
    )
    return y8.reshape(count, height, width, -1, LANES).transpose(0, 3, 1, 2, 4)


def _slice(rows: int, most: int) -> int:
    """Largest divisor of ``rows`` up to ``most``, at least 1."""
    return next((size for size in range(min(rows, most), 1, -1) if rows % size == 0), 1)


def _padded(planes: Int8, command: Conv, kind: np.dtype[np.floating]) -> Floats:
    """Rows and columns that the windows touch, ``pad_value`` where there is no input."""
    count, groups = planes.shape[:2]
    high = (command.out_height - 1) * command.stride + command.kernel
    wide = (command.out_width - 1) * command.stride + command.kernel
    padded = np.full((count, groups, high, wide, LANES), command.pad_value, kind)
    top, left = command.pad_top, command.pad_left
    taken = planes[:, :, : max(0, high - top), : max(0, wide - left)]
    padded[:, :, top : top + taken.shape[2], left : left + taken.shape[3]] = taken
    return padded


def add(a: Int8, b: Int8, command: Add) -> Int8:
    """Sum of two tensors of one shape, requantised."""
    value = (a.astype(np.int64) - command.zero_a) * command.multiplier_a
    value += (b.astype(np.int64) - command.zero_b) * command.multiplier_b
    return requantise(value, 1, command.shift, command.zero_point, command.low, command.high)


def maxpool(planes: Int8, command: MaxPool) -> Int8:
    """Largest of each square; a last odd row or column is left out."""
    count, groups, height, width, _ = planes.shape
    k = command.kernel
    rows, columns = height // k, width // k
    squares = planes[:, :, : rows * k, : columns * k].reshape(count, groups, rows, k, columns, k, LANES)
    largest: Int8 = squares.max((3, 5))
    return largest


def avgpool(planes: Int8, command: AvgPool) -> Int8:
    """Mean over each plane, requantised, int8 (images, groups, 8)."""
    sums = planes.sum((2, 3), dtype=np.int64)
    sums -= command.height * command.width * command.zero_in
    return requantise(sums, command.multiplier, command.shift, command.zero_point, command.low, command.high)


def softmax_totals(logits: Int8, table: npt.NDArray[np.uint16]) -> Int64:
    """Sum of the confidence table over each row of ``logits`` (images, classes), each value behind its largest."""
    behind = logits.max(1, keepdims=True).astype(np.int64) - logits
    totals: Int64 = table[behind].sum(1, dtype=np.int64)
    return totals
