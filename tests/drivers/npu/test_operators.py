"""What an operator's attributes allow, and the words in which the rest is refused: operator, shape, reason."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.npu import graph, operators, quantised
from drivers.npu.layers import Convolution, Network
from tests.drivers.npu.networks import Writer


def recognised(net: Writer) -> Network:
    return quantised.recognise(graph.read([net.bytes()]), "toy")


def conv(**attributes: object) -> Writer:
    net = Writer((4, 9, 9))
    x = net.conv(net.pixels(), 4, int(attributes.pop("kernel", 3)), **attributes)
    net.classify(x)
    return net


REFUSED = {
    "kernel [5, 5] is neither 1 x 1 nor 3 x 3": {"kernel": 5},
    "strides [3, 3] are neither 1 nor 2": {"strides": [3, 3]},
    "strides [1, 2] are neither 1 nor 2": {"strides": [1, 2]},
    "no dilated convolution": {"dilations": [2, 2], "pads": [1, 1, 1, 1]},
    "pads [2, 2, 2, 2] are outside 0..1": {"pads": [2, 2, 2, 2]},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_convolution_the_overlay_lacks_is_refused(reason):
    with pytest.raises(graph.UnsupportedError) as caught:
        recognised(conv(**REFUSED[reason]))
    error = caught.value
    assert reason in error.reason
    assert (error.operator, error.shape) == ("Conv", "[4, 9, 9]")
    assert error.key.startswith("make_conv")
    assert "Conv on [4, 9, 9] cannot be compiled" in str(error)


def test_a_depthwise_convolution_becomes_a_dense_one_with_zeros_between():
    layer = next(x for x in recognised(conv(group=4)).layers if isinstance(x, Convolution))
    assert layer.op == "DepthwiseConv"
    assert layer.weights.shape == (4, 4, 3, 3)
    off = ~np.eye(4, dtype=bool)
    assert not layer.weights[off].any()
    assert layer.weights[np.eye(4, dtype=bool)].any()
    assert layer.macs == 9 * 9 * 4 * 9, "zeros between are not asked for by the network"


def test_pads_by_name_follow_the_standard():
    node = graph.Node(op="Conv", name="c", inputs=(), outputs=("y",), attributes={})
    pads = {
        auto: operators._pads(
            graph.Node(op="Conv", name="c", inputs=(), outputs=(), attributes={"auto_pad": auto}),
            (8, 9),
            3,
            2,
        )
        for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")
    }
    assert pads == {"SAME_UPPER": (0, 1, 1, 1), "SAME_LOWER": (1, 1, 0, 1), "VALID": (0, 0, 0, 0)}
    assert operators._pads(node, (8, 9), 3, 2) == (0, 0, 0, 0)


def pooled(op: str, **attributes: object) -> Writer:
    net = Writer((4, 9, 9))
    x = net.pixels()
    net.classify(net.quantise(net.node(op, x, **attributes), 0.02))
    return net


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"kernel_shape": [3, 3], "strides": [2, 2]}, "kernel_shape has to be [2, 2]"),
        ({"kernel_shape": [2, 2]}, "strides has to be [2, 2]"),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]}, "pads has to be [0, 0, 0, 0]"),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, "ceil_mode with an odd size"),
    ],
)
def test_a_pool_the_overlay_lacks_is_refused(attributes, reason):
    with pytest.raises(graph.UnsupportedError) as caught:
        recognised(pooled("MaxPool", **attributes))
    assert caught.value.reason == reason
    assert caught.value.operator == "MaxPool"


def test_an_average_of_less_than_a_plane_is_refused():
    with pytest.raises(graph.UnsupportedError, match="only the mean of a whole plane"):
        recognised(pooled("AveragePool", kernel_shape=[2, 2], strides=[2, 2]))
    whole = pooled("AveragePool", kernel_shape=[9, 9])
    assert "AvgPool" in [layer.op for layer in recognised(whole).layers]


def test_tensors_of_different_shape_are_not_added():
    net = Writer((4, 9, 9))
    x = net.pixels()
    net.classify(net.quantise(net.node("Add", net.conv(x, 4), net.conv(x, 1)), 0.1))
    with pytest.raises(graph.UnsupportedError, match=r"Add on \[4, 9, 9\], \[1, 9, 9\] .*same shape"):
        recognised(net)


def test_a_gemm_that_scales_is_refused():
    net = Writer((4, 1, 1))
    flat = net.node("Flatten", net.pixels(), axis=1)
    y = net.node("Gemm", flat, net.weights((3, 4)), net.constant([0.0] * 3), transB=1, alpha=2.0)
    net.leave(net.quantise(y, 0.1), 3, "probabilities")
    with pytest.raises(graph.UnsupportedError, match="alpha, beta and transA"):
        recognised(net)


def test_a_matmul_is_a_fully_connected_layer():
    net = Writer((4, 2, 2))
    flat = net.node("Flatten", net.pixels(), axis=1)
    y = net.node("MatMul", flat, net.weights((16, 3), axis=1))
    net.leave(net.quantise(y, 0.1), 3, "probabilities")
    layer = recognised(net).layers[0]
    assert isinstance(layer, Convolution)
    assert layer.weights.shape == (3, 16, 1, 1)
    assert layer.flat
    assert layer.macs == 48
