"""From scales to integers: multipliers near their value, weights where the device looks, pieces that add up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from drivers.npu import graph, isa, lower, quantised
from drivers.npu.layers import Convolution, Leave, Network, Tensor
from tests.drivers.npu.networks import residual


def a_convolution(filters: int = 20, channels: int = 10, **changes: object) -> Convolution:
    rng = np.random.default_rng(0)
    made = Convolution(
        name="c",
        op="Conv",
        source=Tensor(name="x", shape=(channels, 5, 4), scale=0.1, zero_point=-3),
        target=Tensor(name="y", shape=(filters, 5, 4), scale=0.2, zero_point=7),
        weights=rng.integers(-127, 128, (filters, channels, 3, 3)).astype(np.int8),
        weight_scale=np.linspace(0.01, 0.02, filters),
        bias=np.arange(filters),
        macs=1000,
        pads=(1, 1),
    )
    return replace(made, **changes)


def lowered(*layers: object) -> lower.Lowered:
    source = Tensor(name="x", shape=(10, 5, 4), scale=0.1, zero_point=-3)
    network = Network(name="n", sha256="", input=source, pixels=(0,) * 256, layers=tuple(layers))
    return lower.lower(network)


def test_weights_parameters_and_zero_points_lie_where_the_device_looks():
    layer = a_convolution()
    (step,) = lowered(layer).steps
    words = np.frombuffer(step.weights, np.int8).reshape(2, 2, 3, 3, 16, 8)
    for o, i, ky, kx in [(0, 0, 0, 0), (3, 5, 1, 2), (15, 9, 2, 0), (19, 8, 2, 2)]:
        assert words[o // 16, i // 8, ky, kx, o % 16, i % 8] == layer.weights[o, i, ky, kx]
    assert not words[1, :, :, :, 4:].any()
    assert not words[:, 1, :, :, :, 2:].any()
    parameters = np.frombuffer(
        step.parameters, np.dtype([("b", "<i4"), ("m", "<u4"), ("s", "u1"), ("_", "V7")])
    )
    assert len(parameters) == 32
    assert parameters["b"][5] == 5 + 3 * int(layer.weights[5].astype(int).sum())
    real = 0.1 * layer.weight_scale[5] / 0.2
    assert math.ldexp(int(parameters["m"][5]), -int(parameters["s"][5])) == pytest.approx(real, rel=1e-9)
    assert not parameters["m"][20:].any(), "outputs that are not there become the zero point"
    assert (parameters["s"] >= 1).all()
    command = step.command
    assert isinstance(command, isa.Conv)
    assert (command.in_groups, command.out_groups, command.pad_value, command.zero_point) == (2, 2, -3, 7)
    assert (step.words, step.tag) == (4 * 20, 1)


def test_sums_that_could_overflow_are_refused():
    with pytest.raises(graph.UnsupportedError, match="an accumulator holds 2147483647"):
        lowered(a_convolution(bias=np.full(20, 1 << 31)))


def test_scales_out_of_range_are_refused():
    with pytest.raises(graph.UnsupportedError, match="out of range"):
        lowered(a_convolution(weight_scale=np.full(20, 1e12)))


def test_exits_and_classes_have_limits():
    def logits(classes: int) -> Tensor:
        return Tensor(name="x", shape=(classes, 1, 1), scale=0.1, zero_point=0)

    made = lowered(*(Leave(name=f"e{k}", source=logits(64)) for k in range(4)))
    assert [(e.number, e.table) for e in made.exits] == [(k, 0) for k in range(4)]
    assert len(made.tables) == 1, "equal scales share a table"
    assert [step.command.last for step in made.steps if isinstance(step.command, isa.Exit)] == [0, 0, 0, 1]
    with pytest.raises(graph.UnsupportedError, match="at most 64 classes"):
        lowered(Leave(name="e", source=logits(65)))
    with pytest.raises(graph.UnsupportedError, match="has 4 exits"):
        lowered(*(Leave(name=f"e{k}", source=logits(9)) for k in range(5)))


def test_additions_use_the_bits_of_their_multipliers():
    steps = lower.lower(quantised.recognise(graph.read([residual()]), "toy")).steps
    additions = [step.command for step in steps if isinstance(step.command, isa.Add)]
    assert len(additions) == 3
    for command in additions:
        most = max(command.multiplier_a, command.multiplier_b)
        assert 1 << 22 <= most < 1 << 24
