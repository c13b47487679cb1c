"""Write a trained network as ONNX by hand: few node kinds, batch norm folded, one graph per exit.

Takes a ``Network`` in evaluation mode; gives one ``Part`` per stage; does not know accuracy or files.
The graphs use opset 17 and IR version 8, so onnxruntime 1.17 and later read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from entry import Part
from networks import ConvBn, Network, ResidualBlock
from onnx import TensorProto, checker, helper, numpy_helper
from torch import nn

OPSET = 17
IR_VERSION = 8
SIDE = 28


@dataclass(slots=True)
class _Graph:
    """Nodes and weights of a graph being written; ``shape`` follows the value last written."""

    shape: tuple[int, int, int]
    nodes: list = field(default_factory=list)
    weights: list = field(default_factory=list)
    macs: int = 0
    parameters: int = 0

    def node(self, kind: str, inputs: list[str], name: str = "", **attributes: object) -> str:
        output = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"make_{output}", **attributes))
        return output

    def constant(self, value: np.ndarray, *, counts: bool = True) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        self.parameters += value.size if counts else 0
        return name

    def conv(self, layer: ConvBn, x: str) -> str:
        weight, bias = layer.folded()
        stride, kernel = layer.conv.stride[0], layer.conv.kernel_size[0]
        outputs, inputs = weight.shape[:2]
        height = (self.shape[1] + stride - 1) // stride
        self.shape = (outputs, height, height)
        self.macs += height * height * outputs * inputs * kernel * kernel
        names = [x, self.constant(weight.numpy()), self.constant(bias.numpy())]
        pads = [kernel // 2] * 4
        y = self.node("Conv", names, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)
        return self.node("Relu", [y]) if layer.relu else y

    def residual(self, block: ResidualBlock, x: str) -> str:
        before = self.shape
        y = self.conv(block.second, self.conv(block.first, x))
        after, self.shape = self.shape, before
        kept = x if block.shortcut is None else self.conv(block.shortcut, x)
        self.shape = after
        return self.node("Relu", [self.node("Add", [y, kept])])

    def layers(self, sequence: nn.Module, x: str) -> str:
        for layer in sequence.children():
            match layer:
                case ConvBn():
                    x = self.conv(layer, x)
                case ResidualBlock():
                    x = self.residual(layer, x)
                case nn.MaxPool2d():
                    x = self.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
                    self.shape = (self.shape[0], self.shape[1] // 2, self.shape[2] // 2)
                case _:
                    raise ValueError(f"no ONNX form for {type(layer).__name__}")
        return x

    def classify(self, layer: nn.Linear, x: str, name: str) -> str:
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        self.macs += weight.size
        flat = self.node("Flatten", [self.node("GlobalAveragePool", [x])], axis=1)
        scores = self.node("Gemm", [flat, self.constant(weight), self.constant(bias)], transB=1)
        return self.node("Softmax", [scores], name, axis=1)


@torch.no_grad()
def write_parts(network: Network, mean: float, std: float) -> list[Part]:
    """One graph per exit, each taking the features that the one before leaves.

    Args:
        network: trained; put into evaluation mode here.
        mean: subtracted from the grey values 0 to 255.
        std: then divided by.
    """
    network.eval()
    count = len(network.trunks)
    parts: list[Part] = []
    shape, x, kind = (1, SIDE, SIDE), "image", TensorProto.UINT8
    for index, (trunk, head, classifier) in enumerate(
        zip(network.trunks, network.heads, network.classifiers, strict=True)
    ):
        graph = _Graph(shape)
        given = helper.make_tensor_value_info(x, kind, ["N", *shape])
        entry, y = x, x
        if index == 0:
            y = graph.node("Cast", [y], to=TensorProto.FLOAT)
            y = graph.node("Sub", [y, graph.constant(np.array(mean), counts=False)])
            y = graph.node("Mul", [y, graph.constant(np.array(1 / std), counts=False)])
        y = graph.layers(trunk, y)
        left = graph.shape
        exit_name = "probabilities" if count == 1 else f"exit{index}"
        graph.classify(classifier, graph.layers(head, y), exit_name)
        outputs = [
            helper.make_tensor_value_info(exit_name, TensorProto.FLOAT, ["N", classifier.out_features])
        ]
        if index + 1 < count:
            x = graph.node("Identity", [y], f"features{index}")
            outputs.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", *left]))
        body = helper.make_graph(graph.nodes, f"part{index}", [given], outputs, graph.weights)
        model = helper.make_model(
            body,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="testbed-zoo",
        )
        checker.check_model(model, full_check=True)
        parts.append(
            Part(
                model=model,
                input=entry,
                dtype="uint8" if index == 0 else "float32",
                shape=shape,
                outputs=tuple(o.name for o in outputs),
                macs=graph.macs,
                parameters=graph.parameters,
            )
        )
        shape, kind = left, TensorProto.FLOAT
    return parts
