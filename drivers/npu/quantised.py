"""Recognise quantised layers in an ONNX graph whose activations pass through QuantizeLinear (QDQ form).

Takes a ``Graph``; gives a ``Network``: every operator between a DequantizeLinear and the next QuantizeLinear
becomes one layer, ReLU and clipping as its bounds. What has no form here is refused with operator, shape and reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from drivers.npu import operators
from drivers.npu.graph import Graph, Node, UnsupportedError
from drivers.npu.layers import Convolution, Layer, Leave, Network, Tensor, sources
from drivers.npu.operators import Known, Pixels, Waiting, Weights, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Value: TypeAlias = Known | Pixels | Waiting | Weights

QUANTISE = (
    "Quantise the network statically in QDQ form, 8 bits, weights symmetric (experiments/zoo/quantise.py)"
)
_RENAMES = {"Identity", "Dropout"}
_ON_PIXELS: dict[str, Callable[..., npt.NDArray[np.float32]]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}


@dataclass(slots=True)
class _Reading:
    """What is known while nodes are read one after another."""

    graph: Graph
    values: dict[str, Value]
    layers: list[Layer]
    entry: tuple[Tensor, tuple[int, ...]] | None = None

    def constant(self, node: Node, place: int) -> npt.NDArray[np.generic]:
        """Input ``place``, which has to be a constant."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name not in self.graph.constants:
            raise refuse(node, self.shape(node), f"input {place} is not a constant")
        return self.graph.constants[name]

    def shape(self, node: Node) -> str:
        """Shapes of the inputs that are known, for an error's text."""
        known = []
        for name in node.inputs:
            value = self.values.get(name)
            if isinstance(value, Known | Waiting):
                known.append(str(list(value.shape)))
            elif name in self.graph.constants:
                known.append(str(list(self.graph.constants[name].shape)))
        return ", ".join(known) or "an input of unknown shape"

    def known(self, node: Node, place: int = 0) -> Known:
        """Input ``place`` as a quantised activation."""
        value = self.values.get(node.inputs[place])
        if isinstance(value, Known):
            return value
        raise refuse(node, self.shape(node), f"input {place} is not quantised", cure=QUANTISE)


def recognise(graph: Graph, name: str) -> Network:
    """The network that a graph says.

    Raises:
        UnsupportedError: an operator, a shape or a way of quantising that the overlay or this compiler lacks.
    """
    entry_name, dtype, shape = graph.input
    if dtype != "uint8" or len(shape) != 3 or min(shape) < 1:
        raise UnsupportedError(
            "Input",
            entry_name,
            f"{dtype} {list(shape)}",
            "it has to be uint8 pixels (N, C, H, W) of a fixed size",
            cure="Keep scaling inside the graph: Cast, Sub, Mul, then QuantizeLinear",
        )
    reading = _Reading(graph, {entry_name: Pixels(values=np.arange(256, dtype=np.float32), shape=shape)}, [])
    for node in graph.nodes:
        _read(reading, node)
    for output in graph.outputs:
        value = reading.values.get(output)
        if isinstance(value, Known) and value.tensor.shape[1:] == (1, 1):
            reading.layers.append(Leave(name=_plain(output), source=value.tensor))
    if reading.entry is None:
        raise UnsupportedError("Input", entry_name, str(list(shape)), "it is never quantised", cure=QUANTISE)
    layers = _in_order(reading.layers)
    if not layers:
        raise UnsupportedError("Output", entry_name, str(list(shape)), "no classifier's logits were found")
    tensor, pixels = reading.entry
    return Network(name=name, sha256=graph.sha256, input=tensor, pixels=pixels, layers=layers)


def _plain(name: str) -> str:
    """A name as the ONNX file has it."""
    return name.partition("/")[2]


def _read(reading: _Reading, node: Node) -> None:
    values, output = reading.values, node.outputs[0]
    given = values.get(node.inputs[0]) if node.inputs else None
    if node.op in _RENAMES:
        if given is not None:
            values[output] = given
    elif node.op == "DequantizeLinear":
        values[output] = _dequantised(reading, node)
    elif node.op == "QuantizeLinear":
        values[output] = _quantised(reading, node)
    elif isinstance(given, Pixels):
        values[output] = _scaled(reading, node, given)
    elif node.op in {"Flatten", "Reshape", "Squeeze"}:
        values[output] = _flattened(reading, node)
    elif node.op in {"Relu", "Clip"}:
        values[output] = _clipped(reading, node)
    elif node.op == "Softmax":
        source = reading.known(node)
        if source.tensor.shape[1:] != (1, 1):
            raise refuse(node, reading.shape(node), "an exit's logits have one pixel")
        reading.layers.append(Leave(name=_plain(output), source=source.tensor))
    elif node.op == "Add":
        values[output] = operators.addition(node, reading.known(node, 0), reading.known(node, 1))
    elif node.op in {"Conv", "Gemm", "MatMul"}:
        values[output] = _weighted(reading, node)
    elif node.op in operators.POOLS:
        values[output] = operators.POOLS[node.op](node, reading.known(node))
    else:
        raise refuse(node, reading.shape(node), "the overlay has no such operator")


def _scaled(reading: _Reading, node: Node, given: Pixels) -> Pixels:
    """What happens to pixels before they are quantised: the same for every channel, so that a table holds it."""
    if node.op == "Cast":
        return given
    if node.op not in _ON_PIXELS:
        reason = "it works on pixels that are not quantised yet"
        raise refuse(node, str(list(given.shape)), reason, cure=QUANTISE)
    factor = reading.constant(node, 1).astype(np.float32)
    if np.unique(factor).size != 1:
        raise refuse(node, str(list(given.shape)), "channels are scaled differently, and there is one table")
    return replace(given, values=_ON_PIXELS[node.op](given.values, factor.flat[0]))


def _dequantised(reading: _Reading, node: Node) -> Value:
    name = node.inputs[0]
    if name in reading.graph.constants:
        array = reading.graph.constants[name]
        scale = reading.constant(node, 1).astype(np.float64)
        if len(node.inputs) > 2 and np.any(reading.constant(node, 2)):
            raise refuse(node, str(list(array.shape)), "weights need zero point 0", cure=QUANTISE)
        return Weights(
            values=array, scale=scale.reshape(-1), axis=node.integer("axis", 1) if scale.size > 1 else 0
        )
    value = reading.values.get(name)
    if isinstance(value, Pixels):  # the pixels are quantised already
        return _quantised(reading, node)
    if not isinstance(value, Known):
        raise refuse(node, reading.shape(node), "it takes what no QuantizeLinear gives", cure=QUANTISE)
    return value


def _quantised(reading: _Reading, node: Node) -> Known:
    """Give what waits its scale and with it its layer."""
    scale, zero_point, least = _scale(reading, node)
    value = reading.values.get(node.inputs[0])
    name = node.outputs[0]
    if isinstance(value, Pixels):
        if reading.entry is not None:
            raise refuse(node, str(list(value.shape)), "pixels are quantised twice")
        tensor = Tensor(name=name, shape=value.shape, scale=scale, zero_point=zero_point)
        levels = value.values if node.op == "DequantizeLinear" else np.rint(value.values / np.float32(scale))
        shift = least if node.op == "DequantizeLinear" else zero_point
        table = np.clip(levels.astype(np.int64) + shift, -128, 127)
        reading.entry = tensor, tuple(int(item) for item in table)
        return Known(tensor=tensor)
    if isinstance(value, Known):
        if (value.tensor.scale, value.tensor.zero_point) == (scale, zero_point):
            return value
        value = operators.rescaled(node, value)
    if not isinstance(value, Waiting):
        raise refuse(node, reading.shape(node), "it takes what is not computed on quantised values")
    kept = value.keeps
    if kept is not None and (kept.scale, kept.zero_point) != (scale, zero_point):
        # A pool's numbers are its input's; another scale is a step of its own.
        between = replace(kept, name=f"{name} before scaling", shape=value.shape)
        reading.layers.append(value.make(between, -128, 127))
        value = replace(
            operators.rescaled(node, Known(tensor=between)), flat=value.flat, low=value.low, high=value.high
        )
    tensor = Tensor(name=name, shape=value.shape, scale=scale, zero_point=zero_point)
    low = max(-128.0, np.rint(value.low / scale) + zero_point)
    high = min(127.0, np.rint(value.high / scale) + zero_point)
    reading.layers.append(value.make(tensor, int(min(low, 127)), int(max(high, -128))))
    return Known(tensor=tensor, flat=value.flat)


def _scale(reading: _Reading, node: Node) -> tuple[float, int, int]:
    """Scale, zero point for int8, and what is added to a stored number to make it int8."""
    scale = reading.constant(node, 1)
    named = len(node.inputs) > 2 and node.inputs[2]
    zero = reading.constant(node, 2) if named else np.zeros(1, np.uint8)
    if scale.size != 1:
        raise refuse(node, reading.shape(node), "activations need one scale for all channels", cure=QUANTISE)
    if zero.dtype not in (np.uint8, np.int8):
        raise refuse(node, reading.shape(node), f"activations are {zero.dtype}, not 8 bits", cure=QUANTISE)
    least = -128 if zero.dtype == np.uint8 else 0
    return float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]) + least, least


def _flattened(reading: _Reading, node: Node) -> Value:
    value = reading.values.get(node.inputs[0])
    if not isinstance(value, Known | Waiting):
        raise refuse(node, reading.shape(node), "its input is not quantised", cure=QUANTISE)
    size = int(np.prod(value.shape))
    if node.op == "Reshape":
        wanted = [int(v) for v in reading.constant(node, 1).reshape(-1)]
        fits = len(wanted) == 2 and wanted[1] in (-1, size)
    else:
        fits = node.integer("axis", 1) == 1 if node.op == "Flatten" else value.shape[1:] == (1, 1)
    if not fits:
        raise refuse(node, reading.shape(node), "only flattening everything but the batch is possible")
    return replace(value, flat=True)


def _clipped(reading: _Reading, node: Node) -> Waiting:
    value = reading.values.get(node.inputs[0])
    if isinstance(value, Known):
        value = operators.rescaled(node, value)
    if not isinstance(value, Waiting):
        raise refuse(node, reading.shape(node), "its input is not quantised", cure=QUANTISE)
    low, high = 0.0, np.inf
    if node.op == "Clip":
        bounds = [
            float(reading.constant(node, place).reshape(-1)[0]) if place < len(node.inputs) and node.inputs[place]
            else default
            for place, default in ((1, -np.inf), (2, np.inf))
        ]  # fmt: skip
        low, high = bounds
    return replace(value, low=max(low, value.low), high=min(high, value.high))


def _weighted(reading: _Reading, node: Node) -> Waiting:
    weights = reading.values.get(node.inputs[1])
    if not isinstance(weights, Weights) or weights.values.dtype != np.int8:
        raise refuse(node, reading.shape(node), "its weights are not int8 constants", cure=QUANTISE)
    bias: Weights | None = None
    if len(node.inputs) > 2 and node.inputs[2]:
        value = reading.values.get(node.inputs[2])
        if isinstance(value, Weights):
            bias = value
        else:
            bias = Weights(values=reading.constant(node, 2), scale=np.ones(1), axis=0)
    make = operators.convolution if node.op == "Conv" else operators.fully_connected
    return make(node, reading.known(node), weights, bias)


def _in_order(layers: list[Layer]) -> tuple[Layer, ...]:
    """Exits from cheap to dear, before each of them only what it needs; layers that nobody needs are left out."""
    made = {layer.target.name: layer for layer in layers if not isinstance(layer, Leave)}

    def needed(names: Iterable[str], found: set[str]) -> set[str]:
        for name in names:
            if name in made and name not in found:
                found.add(name)
                needed((t.name for t in sources(made[name])), found)
        return found

    exits = [(needed([layer.source.name], set()), layer) for layer in layers if isinstance(layer, Leave)]
    cost = {name: layer.macs if isinstance(layer, Convolution) else 0 for name, layer in made.items()}
    exits.sort(key=lambda item: (sum(cost[name] for name in item[0]), len(item[0])))
    ordered: list[Layer] = []
    done: set[str] = set()
    for names, leave in exits:
        ordered += [
            layer for layer in layers if not isinstance(layer, Leave) and layer.target.name in names - done
        ]
        done |= names
        ordered.append(leave)
    return tuple(ordered)
