"""Small quantised networks with random numbers, as ONNX files, for the compiler's tests."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


class Writer:
    """A QDQ graph that grows; every method takes and gives the name of a float value.

    Weights keep 7 bits: without VNNI x86 adds products of full-range pairs in 16 bits and saturates.
    """

    def __init__(self, shape: tuple[int, int, int], seed: int = 0, dtype: type = np.uint8) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *shape])]
        self.quantised: list[str] = []
        self.channels = {"image": shape[0]}

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"make_{output}", **attributes))
        self.channels[output] = self.channels.get(inputs[0], 0) if inputs else 0
        return output

    def quantise(self, x: str, scale: float, zero_point: int | None = None) -> str:
        zero = int(self.rng.integers(90, 160)) if zero_point is None else zero_point
        if self.dtype is np.int8:
            zero -= 128
        pair = self.constant(scale), self.constant(zero, self.dtype)
        q = self.node("QuantizeLinear", x, *pair)
        self.quantised.append(q)
        return self.node("DequantizeLinear", q, *pair)

    def pixels(self) -> str:
        x = self.node("Cast", "image", to=TensorProto.FLOAT)
        x = self.node("Sub", x, self.constant([120.0]))
        x = self.node("Mul", x, self.constant([1 / 60]))
        return self.quantise(x, 4.5 / 255, 120)

    def weights(self, shape: tuple[int, ...], axis: int = 0) -> str:
        fan_in = int(np.prod(shape)) // shape[axis]
        scale = self.rng.uniform(0.5, 2, shape[axis]) / (32 * fan_in**0.5)
        values = self.rng.integers(-64, 65, shape)
        zeros = self.constant(np.zeros(shape[axis]), np.int8)
        return self.node(
            "DequantizeLinear", self.constant(values, np.int8), self.constant(scale), zeros, axis=axis
        )

    def conv(
        self,
        x: str,
        filters: int,
        kernel: int = 3,
        *,
        scale: float = 0.03,
        relu: bool = False,
        **attributes: object,
    ) -> str:
        inside = self.channels[x] // int(attributes.get("group", 1))
        w = self.weights((filters, inside, kernel, kernel))
        attributes.setdefault("pads", [kernel // 2] * 4)
        if "auto_pad" in attributes:
            attributes.pop("pads")
        bias = self.constant(self.rng.normal(0, 0.3, filters))
        y = self.node("Conv", x, w, bias, kernel_shape=[kernel] * 2, **attributes)
        self.channels[y] = filters
        y = self.node("Relu", y) if relu else y
        self.channels[y] = filters
        q = self.quantise(y, scale, 0 if relu else None)
        self.channels[q] = filters
        return q

    def gemm(self, x: str, size: int, classes: int) -> str:
        w = self.weights((classes, size))
        y = self.node("Gemm", x, w, self.constant(self.rng.normal(0, 0.3, classes)), transB=1)
        return self.quantise(y, 0.04)

    def leave(self, x: str, classes: int, name: str) -> None:
        self.nodes.append(helper.make_node("Softmax", [x], [name], name=f"make_{name}", axis=1))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", classes]))

    def classify(self, x: str, classes: int = 10, name: str = "probabilities") -> None:
        """Mean, fully connected, softmax."""
        channels = self.channels[x]
        x = self.node("Flatten", self.node("GlobalAveragePool", x), axis=1)
        self.leave(self.gemm(self.quantise(x, 0.015), channels, classes), classes, name)

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "toy", self.inputs, self.outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made

    def bytes(self) -> bytes:
        return self.model().SerializeToString()


def watched(raw: bytes) -> tuple[bytes, list[str]]:
    """The same network with every quantised activation as an output, and their names."""
    model = onnx.load_from_string(raw)
    constants = {item.name for item in model.graph.initializer}
    names = [
        n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in constants
    ]
    kinds = {item.name: item.data_type for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0] in names:
            info = helper.make_tensor_value_info(node.output[0], kinds[node.input[2]], None)
            model.graph.output.append(info)
    return model.SerializeToString(), names


def residual(seed: int = 0, dtype: type = np.uint8) -> bytes:
    """Two blocks with a shortcut each, an odd number of channels, an early exit with a max pool before it."""
    net = Writer((1, 12, 10), seed, dtype)
    x = net.conv(net.pixels(), 12, relu=True)
    kept = x
    head = net.quantise(net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 0.029, 3)
    net.channels[head] = 12
    net.classify(net.conv(head, 7, strides=[2, 2], relu=True), 10, "exit0")
    y = net.conv(net.conv(x, 12, relu=True), 12)
    x = net.quantise(net.node("Relu", net.node("Add", y, kept)), 0.04, 0)
    net.channels[x] = 12
    y, kept = net.conv(x, 20, strides=[2, 2]), net.conv(x, 20, 1, strides=[2, 2])
    x = net.quantise(net.node("Add", y, kept), 0.05)
    net.channels[x] = 20
    net.classify(x, 10, "exit1")
    return net.bytes()


def pixels_as_input(images: NDArray[np.uint8], map_: tuple[int, ...], neutral: int) -> NDArray[np.int8]:
    """Images (n, C, H, W) in the layout of a program's input, int8 (n, bytes)."""
    count, channels, height, width = images.shape
    groups = -(-channels // 8)
    laid = np.full((count, groups * 8, height, width), neutral, np.int8)
    laid[:, :channels] = np.array(map_, np.int8)[images]
    return laid.reshape(count, groups, 8, height, width).transpose(0, 1, 3, 4, 2).reshape(count, -1)
