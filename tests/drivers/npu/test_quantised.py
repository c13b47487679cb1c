"""QDQ graphs become layers: bounds folded, exits in order, and what is not quantised refused with the cure."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from drivers.npu import graph, quantised
from drivers.npu.layers import Addition, Convolution, Leave, Network, Pooling, Tensor, sources
from tests.drivers.npu.networks import Writer, residual
from tests.drivers.npu.test_graph import shipped_parts


def recognised(raw: bytes | Writer) -> Network:
    raw = raw.bytes() if isinstance(raw, Writer) else raw
    return quantised.recognise(graph.read([raw]), "toy")


def test_the_shipped_network_has_its_layers_and_multiplications():
    network = recognised(shipped_parts("resnet8-int8")[0])
    kinds = [layer.op for layer in network.layers]
    assert kinds.count("Conv") == 9
    assert kinds.count("Add") == 3
    assert kinds[-3:] == ["AvgPool", "Gemm", "Exit"]
    assert sum(layer.macs for layer in network.layers if isinstance(layer, Convolution)) == 9_345_920


def test_the_table_of_pixels_is_what_onnxruntime_computes():
    net = Writer((1, 16, 16))
    net.classify(net.conv(net.pixels(), 4))
    raw = net.bytes()
    network = recognised(raw)
    model = onnx.load_from_string(raw)
    name = net.quantised[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    theirs = session.run([name], {"image": pixels})[0].reshape(-1).astype(int) - 128
    assert list(network.pixels) == theirs.tolist()
    assert network.input.zero_point == -8


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_exits_come_as_early_as_what_they_need(dtype):
    network = recognised(residual(0, dtype))
    leaves = [layer.name for layer in network.layers if isinstance(layer, Leave)]
    assert leaves == ["exit0", "exit1"]
    first = next(i for i, layer in enumerate(network.layers) if isinstance(layer, Leave))
    assert sum(isinstance(layer, Convolution) for layer in network.layers[:first]) == 3
    known = {network.input.name}
    for layer in network.layers:
        assert {tensor.name for tensor in sources(layer)} <= known
        if not isinstance(layer, Leave):
            known.add(layer.target.name)


def test_activations_become_bounds():
    net = Writer((1, 8, 8), dtype=np.int8)
    x = net.conv(net.pixels(), 4)
    y = net.quantise(net.node("Clip", x, net.constant(-0.5), net.constant(1.0)), 0.1, 118)
    z = net.quantise(net.node("Relu", y), 0.1, 118)
    net.channels[z] = 4
    net.classify(z)
    clip, relu = [layer for layer in recognised(net).layers if isinstance(layer, Addition)]
    assert (clip.low, clip.high) == (-15, 0)  # zero point -10, steps of 0.1
    assert (relu.low, relu.high) == (-10, 127)
    assert clip.b is None


def test_a_pool_into_another_scale_is_scaled_afterwards():
    net = Writer((1, 8, 8))
    x = net.conv(net.pixels(), 4, scale=0.03, relu=True)
    pool = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = net.quantise(pool, 0.05)
    net.channels[y] = 4
    net.classify(y)
    layers = recognised(net).layers
    place = next(i for i, layer in enumerate(layers) if isinstance(layer, Pooling))
    pool_layer, scaling = layers[place], layers[place + 1]
    assert isinstance(pool_layer, Pooling)
    assert isinstance(scaling, Addition)
    assert pool_layer.target.scale == pytest.approx(0.03)
    assert scaling.target.scale == pytest.approx(0.05)
    assert scaling.a == pool_layer.target


def test_quantising_anew_in_the_same_scale_is_nothing():
    net = Writer((1, 8, 8))
    x = net.quantise(net.conv(net.pixels(), 4), 0.03, 99)
    again = net.quantise(x, 0.03, 99)
    net.channels[again] = 4
    net.classify(again)
    assert sum(isinstance(layer, Addition) for layer in recognised(net).layers) == 1


def test_a_tensor_counts_its_words():
    assert Tensor(name="x", shape=(9, 3, 5), scale=1.0, zero_point=0).words == 30


def test_layers_nobody_needs_are_left_out():
    net = Writer((1, 8, 8))
    x = net.pixels()
    net.conv(x, 4)
    net.classify(net.conv(x, 5))
    convs = [layer for layer in recognised(net).layers if isinstance(layer, Convolution)]
    assert [layer.target.shape[0] for layer in convs] == [5, 10]


def broken(case: str) -> Writer:
    net = Writer((3, 8, 8))
    match case:
        case "float":
            x = net.node("Cast", "image", to=1)
            net.node("Conv", x, net.constant(np.zeros((4, 3, 3, 3))))
            net.classify(net.conv(net.pixels(), 4))
        case "sigmoid":
            net.classify(net.quantise(net.node("Sigmoid", net.conv(net.pixels(), 4)), 0.01))
        case "asymmetric":
            x = net.pixels()
            w = net.node(
                "DequantizeLinear",
                net.constant(np.ones((4, 3, 1, 1)), np.int8),
                net.constant(0.1),
                net.constant(3, np.int8),
            )
            x = net.quantise(net.node("Conv", x, w), 0.1)
            net.channels[x] = 4
            net.classify(x)
        case "channels":
            x = net.node("Sub", net.node("Cast", "image", to=1), net.constant([[[1.0]], [[2.0]], [[3.0]]]))
            net.classify(net.conv(net.quantise(x, 1.0, 0), 4))
        case "between":
            x = net.pixels()
            y = net.node("Conv", x, net.weights((4, 3, 1, 1)))
            x = net.quantise(net.node("Add", y, y), 0.1)
            net.channels[x] = 4
            net.classify(x)
        case "per-channel":
            scale = net.constant([0.1, 0.2, 0.3])
            zero = net.constant([0, 0, 0], np.uint8)
            x = net.pixels()
            y = net.node("Conv", x, net.weights((3, 3, 1, 1)))
            q = net.node("QuantizeLinear", y, scale, zero)
            net.classify(net.node("DequantizeLinear", q, scale, zero))
        case "no exit":
            x = net.conv(net.pixels(), 4)
            net.outputs.append(onnx.helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, ["N", 4, 8, 8]))
    return net


@pytest.mark.parametrize(
    ("case", "operator", "reason"),
    [
        ("float", "Conv", "not quantised yet"),
        ("sigmoid", "Sigmoid", "the overlay has no such operator"),
        ("asymmetric", "DequantizeLinear", "weights need zero point 0"),
        ("channels", "Sub", "channels are scaled differently"),
        ("between", "Add", "input 0 is not quantised"),
        ("per-channel", "QuantizeLinear", "one scale for all channels"),
        ("no exit", "Output", "no classifier's logits were found"),
    ],
)
def test_what_has_no_form_is_refused_with_operator_and_reason(case, operator, reason):
    with pytest.raises(graph.UnsupportedError) as caught:
        recognised(broken(case))
    assert caught.value.operator == operator
    assert reason in caught.value.reason
    assert caught.value.shape


def test_a_float_network_is_sent_to_the_quantiser():
    with pytest.raises(graph.UnsupportedError, match="Quantise the network statically"):
        recognised(shipped_parts("resnet8")[0])


def test_pixels_have_to_be_bytes():
    net = Writer((1, 8, 8))
    net.classify(net.conv(net.pixels(), 4))
    model = net.model()
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    with pytest.raises(graph.UnsupportedError, match=r"Input on float32 \[1, 8, 8\] .*has to be uint8"):
        recognised(model.SerializeToString())
