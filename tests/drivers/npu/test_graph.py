"""ONNX files become plain nodes; parts are joined by the names they hand on."""

from __future__ import annotations

import builtins
import hashlib

import numpy as np
import onnx
import pytest

from drivers.npu import graph, quantised
from drivers.npu.layers import Addition, Leave
from testbed.errors import ConfigError
from testbed.zoo.catalog import load_catalog, shipped
from testbed.zoo.files import load_graphs
from tests.drivers.npu.networks import residual


def shipped_parts(model: str) -> tuple[bytes, ...]:
    return load_graphs(load_catalog(shipped("image-classification/fashion-mnist")), model)


def test_a_graph_has_its_input_its_exits_and_its_constants():
    raw = residual()
    read = graph.read([raw])
    assert read.input == ("0/image", "uint8", (1, 12, 10))
    assert read.outputs == ("0/exit0", "0/exit1")
    assert read.sha256 == hashlib.sha256(raw).hexdigest()
    convs = [node for node in read.nodes if node.op == "Conv"]
    assert convs[0].integers("kernel_shape", ()) == (3, 3)
    assert convs[0].integer("group", 1) == 1
    known = {read.input[0], *read.constants}
    for node in read.nodes:
        assert {name for name in node.inputs if name} <= known, f"{node.name} comes before what it needs"
        known |= set(node.outputs)


def test_parts_become_one_network():
    parts = shipped_parts("resnet8-ee")
    read = graph.read(parts)
    assert read.outputs == ("0/exit0", "1/exit1", "2/exit2")
    hashes = "".join(hashlib.sha256(part).hexdigest() for part in parts)
    assert read.sha256 == hashlib.sha256(hashes.encode()).hexdigest()
    assert (
        read.sha256 == load_catalog(shipped("image-classification/fashion-mnist")).model("resnet8-ee").sha256
    )
    first_of_second = next(node for node in read.nodes if node.outputs[0].startswith("1/"))
    assert first_of_second.inputs[0] == "0/features0"
    assert len({name for node in read.nodes for name in node.outputs}) == sum(
        len(n.outputs) for n in read.nodes
    )


def test_parts_of_a_quantised_network_join_without_a_step_between():
    network = quantised.recognise(graph.read(shipped_parts("resnet8-ee-int8")), "ee")
    additions = [layer for layer in network.layers if isinstance(layer, Addition)]
    assert len(additions) == 3, "features are quantised anew in the same scale, which is nothing"
    assert [layer.name for layer in network.layers if isinstance(layer, Leave)] == ["exit0", "exit1", "exit2"]


def test_parts_in_the_wrong_order_are_told():
    first, _, third = shipped_parts("resnet8-ee")
    with pytest.raises(ConfigError, match="part 1 takes 'features1', which no earlier part gives"):
        graph.read([first, third])
    with pytest.raises(ConfigError, match="part 1 takes 'image'"):
        graph.read([first, first])


def test_constant_nodes_are_constants():
    value = onnx.numpy_helper.from_array(np.float32([2.0]))
    nodes = [
        onnx.helper.make_node("Constant", [], ["two"], value=value),
        onnx.helper.make_node("Mul", ["x", "two"], ["y"]),
    ]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 1, 2, 2])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 1, 2, 2])
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [x], [y]))
    read = graph.read([model.SerializeToString()])
    assert [node.op for node in read.nodes] == ["Mul"]
    assert read.constants["0/two"].tolist() == [2.0]


def test_no_file_is_no_network():
    with pytest.raises(ConfigError, match="needs a file with an input"):
        graph.read([])
    with pytest.raises(ConfigError, match="part 0 is not an ONNX file"):
        graph.read([b"\xff" * 20])


def test_without_onnx_the_cure_is_named(monkeypatch):
    honest = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "onnx":
            raise ImportError(name)
        return honest(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'testbed\[npu\]'"):
        graph.read([residual()])
