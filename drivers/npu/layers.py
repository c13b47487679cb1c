"""Quantised layers, between the ONNX graph and the command list: int8 tensors and what turns one into another.

Scales are floating point here for the last time; everything later is integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An int8 tensor (channels, height, width): value = ``scale * (q - zero_point)``."""

    name: str
    shape: tuple[int, int, int]
    scale: float
    zero_point: int

    @property
    def words(self) -> int:
        """Words of eight channels that it covers, channels filled up."""
        channels, height, width = self.shape
        return -(-channels // 8) * height * width


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """Dense convolution; ``weights`` int8 (O, I, k, k), ``weight_scale`` float64 (O,), ``bias`` int64 (O,).

    ``low`` and ``high`` bound the output (an activation folded in). ``pads`` is top, left. ``flat`` says that the
    input is read as one pixel with all its rows and columns as channels. ``macs`` counts what the network asks
    for, not the zeros of a depthwise layer made dense.
    """

    name: str
    op: str
    source: Tensor
    target: Tensor
    weights: npt.NDArray[np.int8]
    weight_scale: npt.NDArray[np.float64]
    bias: npt.NDArray[np.int64]
    macs: int
    stride: int = 1
    pads: tuple[int, int] = (0, 0)
    flat: bool = False
    low: int = -128
    high: int = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Sum of two tensors, or with ``b`` ``None`` the same numbers in another scale."""

    name: str
    op: str
    a: Tensor
    b: Tensor | None
    target: Tensor
    low: int = -128
    high: int = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """``MaxPool`` of squares, or ``AvgPool`` of a whole plane (``kernel`` 0)."""

    name: str
    op: str
    source: Tensor
    target: Tensor
    kernel: int = 0
    low: int = -128
    high: int = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """An exit on the logits ``source``."""

    name: str
    source: Tensor
    op: str = "Exit"


Layer: TypeAlias = Convolution | Addition | Pooling | Leave


def sources(layer: Layer) -> tuple[Tensor, ...]:
    """Tensors that a layer reads."""
    if isinstance(layer, Addition):
        return (layer.a,) if layer.b is None else (layer.a, layer.b)
    return (layer.source,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Layers in the order they run, each exit as early as what it needs allows.

    ``pixels`` is the activation of each input value 0 to 255.
    """

    name: str
    sha256: str
    input: Tensor
    pixels: tuple[int, ...]
    layers: tuple[Layer, ...] = ()
