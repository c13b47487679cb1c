"""What each ONNX operator becomes: a layer that waits for the scale of its output.

Takes nodes with quantised inputs; refuses shapes and attributes that the overlay cannot run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from drivers.npu.graph import Node, UnsupportedError
from drivers.npu.layers import Addition, Convolution, Layer, Pooling, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, int, int]
KERNELS, STRIDES = (1, 3), (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """The input before it is quantised: what each of the 256 values has become, float32 (256,)."""

    values: npt.NDArray[np.float32]
    shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A quantised activation; ``flat`` if the graph sees it as one row of numbers."""

    tensor: Tensor
    flat: bool = False

    @property
    def shape(self) -> Shape:
        """Channels, height, width."""
        return self.tensor.shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A constant of integers, ``scale`` float64 (1,) or one per index of ``axis``."""

    values: npt.NDArray[np.generic]
    scale: npt.NDArray[np.float64]
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A result whose scale is not known yet; ``make`` turns target and integer bounds into the layer.

    ``low`` and ``high`` are bounds of the real value; ``keeps`` is the input whose numbers a pool hands on.
    """

    shape: Shape
    make: Callable[[Tensor, int, int], Layer]
    flat: bool = False
    keeps: Tensor | None = None
    low: float = -np.inf
    high: float = np.inf


def refuse(node: Node, shape: str, reason: str, *, cure: str = "") -> UnsupportedError:
    """The error for ``node``."""
    return UnsupportedError(node.op, node.name, shape, reason, cure=cure)


def convolution(node: Node, given: Known, weights: Weights, bias: Weights | None) -> Waiting:
    """Conv: square kernels 1 and 3, strides 1 and 2; grouped ones become dense with zeros between."""
    channels, height, width = given.shape
    shape = str([*given.shape])
    values = weights.values.astype(np.int8)
    if values.ndim != 4 or values.shape[2] != values.shape[3] or values.shape[2] not in KERNELS:
        raise refuse(node, shape, f"kernel {list(values.shape[2:])} is neither 1 x 1 nor 3 x 3")
    kernel = values.shape[2]
    strides = node.integers("strides", (1, 1))
    if len(set(strides)) != 1 or strides[0] not in STRIDES:
        raise refuse(node, shape, f"strides {list(strides)} are neither 1 nor 2 in both directions")
    if set(node.integers("dilations", (1, 1))) != {1}:
        raise refuse(node, shape, "the overlay has no dilated convolution")
    stride = strides[0]
    top, left, bottom, right = _pads(node, (height, width), kernel, stride)
    if min(top, left, bottom, right) < 0 or max(top, left, bottom, right) > kernel // 2:
        raise refuse(node, shape, f"pads {[top, left, bottom, right]} are outside 0..{kernel // 2}")
    groups = node.integer("group", 1)
    filters = values.shape[0]
    dense = values
    if groups != 1:
        dense = np.zeros((filters, channels, kernel, kernel), np.int8)
        inside, outside = channels // groups, filters // groups
        for group in range(groups):
            to, of = (
                slice(group * outside, (group + 1) * outside),
                slice(group * inside, (group + 1) * inside),
            )
            dense[to, of] = values[to]
    rows = (height + top + bottom - kernel) // stride + 1
    columns = (width + left + right - kernel) // stride + 1

    def make(target: Tensor, low: int, high: int) -> Layer:
        return Convolution(
            name=node.name,
            op="DepthwiseConv" if groups == channels > 1 else node.op,
            source=given.tensor,
            target=target,
            weights=dense,
            weight_scale=_per_filter(weights, filters),
            bias=_bias(bias, filters, given.tensor, weights),
            macs=rows * columns * values.size,
            stride=stride,
            pads=(top, left),
            low=low,
            high=high,
        )

    return Waiting(shape=(filters, rows, columns), make=make)


def _pads(node: Node, size: tuple[int, int], kernel: int, stride: int) -> tuple[int, ...]:
    """Top, left, bottom, right. Source: ONNX, operator Conv, attributes auto_pad and pads."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        return node.integers("pads", (0, 0, 0, 0))
    if auto == "VALID":
        return 0, 0, 0, 0
    before, after = [], []
    for length in size:
        total = max(0, (-(-length // stride) - 1) * stride + kernel - length)
        less, more = total // 2, total - total // 2
        before.append(less if auto == "SAME_UPPER" else more)
        after.append(more if auto == "SAME_UPPER" else less)
    return (*before, *after)


def fully_connected(node: Node, given: Known, weights: Weights, bias: Weights | None) -> Waiting:
    """Gemm and MatMul on one row: a 1 x 1 convolution, its input read as one pixel."""
    shape = str([*given.shape])
    scaled = (node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)) != (1.0, 1.0)
    if scaled or node.integer("transA", 0):
        raise refuse(node, shape, "alpha, beta and transA have to be left as they are")
    flat = given.flat or given.shape[1:] == (1, 1)
    transposed = bool(node.integer("transB", 0))
    values = weights.values if transposed else weights.values.T
    size = int(np.prod(given.shape))
    if not flat or values.ndim != 2 or values.shape[1] != size:
        raise refuse(node, shape, f"weights {list(weights.values.shape)} do not fit a flattened input")
    filters = values.shape[0]
    along = weights.axis % 2 == (0 if transposed else 1)
    if weights.scale.size not in (1, filters) or (weights.scale.size > 1 and not along):
        raise refuse(node, shape, "weights need one scale for each output")

    def make(target: Tensor, low: int, high: int) -> Layer:
        return Convolution(
            name=node.name,
            op=node.op,
            source=given.tensor,
            target=target,
            weights=np.ascontiguousarray(values, np.int8)[:, :, None, None],
            weight_scale=_per_filter(weights, filters),
            bias=_bias(bias, filters, given.tensor, weights),
            macs=values.size,
            flat=True,
            low=low,
            high=high,
        )

    return Waiting(shape=(filters, 1, 1), make=make, flat=True)


def _per_filter(weights: Weights, filters: int) -> npt.NDArray[np.float64]:
    return np.broadcast_to(weights.scale, (filters,)).astype(np.float64)


def _bias(bias: Weights | None, filters: int, source: Tensor, weights: Weights) -> npt.NDArray[np.int64]:
    """In units of an accumulator: the input's scale times the weights'."""
    if bias is None:
        return np.zeros(filters, np.int64)
    real = bias.values.astype(np.float64).reshape(-1) * bias.scale
    return np.rint(real / (source.scale * _per_filter(weights, filters))).astype(np.int64)


def addition(node: Node, a: Known, b: Known) -> Waiting:
    """Add of two activations of the same shape."""
    if a.shape != b.shape:
        raise refuse(node, f"{list(a.shape)}, {list(b.shape)}", "both have to have the same shape")

    def make(target: Tensor, low: int, high: int) -> Layer:
        return Addition(name=node.name, op=node.op, a=a.tensor, b=b.tensor, target=target, low=low, high=high)

    return Waiting(shape=a.shape, make=make, flat=a.flat)


def rescaled(node: Node, given: Known) -> Waiting:
    """The same numbers in another scale."""

    def make(target: Tensor, low: int, high: int) -> Layer:
        return Addition(name=node.name, op=node.op, a=given.tensor, b=None, target=target, low=low, high=high)

    return Waiting(shape=given.shape, make=make, flat=given.flat)


def max_pool(node: Node, given: Known) -> Waiting:
    """MaxPool 2 x 2, stride 2, no padding."""
    channels, height, width = given.shape
    plain = {
        "kernel_shape": (2, 2),
        "strides": (2, 2),
        "pads": (0, 0, 0, 0),
        "dilations": (1, 1),
    }
    defaults = {**plain, "kernel_shape": (0, 0), "strides": (1, 1)}
    for name, value in plain.items():
        if node.integers(name, defaults[name]) != value:
            raise refuse(node, str([*given.shape]), f"{name} has to be {list(value)}")
    if node.integer("ceil_mode", 0) and (height % 2 or width % 2):
        raise refuse(node, str([*given.shape]), "ceil_mode with an odd size")
    if min(height, width) < 2:
        raise refuse(node, str([*given.shape]), "it is smaller than one square")

    def make(target: Tensor, _low: int, _high: int) -> Layer:
        return Pooling(name=node.name, op=node.op, source=given.tensor, target=target, kernel=2)

    return Waiting(shape=(channels, height // 2, width // 2), make=make, keeps=given.tensor)


def average_pool(node: Node, given: Known) -> Waiting:
    """GlobalAveragePool, and what is the same: AveragePool or ReduceMean over the whole plane."""
    channels, height, width = given.shape
    if node.op == "AveragePool":
        whole = node.integers("kernel_shape", (0, 0)) == (height, width) and not any(
            node.integers("pads", (0,))
        )
    else:
        axes = node.integers("axes", (2, 3))
        whole = node.op == "GlobalAveragePool" or sorted(axes) in ([2, 3], [-2, -1])
    if not whole:
        raise refuse(node, str([*given.shape]), "only the mean of a whole plane is possible")

    def make(target: Tensor, low: int, high: int) -> Layer:
        return Pooling(name=node.name, op="AvgPool", source=given.tensor, target=target, low=low, high=high)

    return Waiting(shape=(channels, 1, 1), make=make)


POOLS: dict[str, Callable[[Node, Known], Waiting]] = {
    "MaxPool": max_pool,
    "GlobalAveragePool": average_pool,
    "AveragePool": average_pool,
}
