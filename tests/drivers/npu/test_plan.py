"""No two tensors that live together overlap, whatever the network; weights resident or in two halves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.npu import graph, isa, lower, order, plan, quantised
from drivers.npu.graph import UnsupportedError
from tests.drivers.npu.networks import residual
from tests.drivers.npu.test_graph import shipped_parts
from tests.drivers.npu.test_lower import a_convolution
from tests.drivers.npu.test_lower import lowered as lowered_layers


@st.composite
def tensors(draw: st.DrawFn) -> list[plan.Life]:
    made = []
    for index in range(draw(st.integers(1, 20))):
        first = draw(st.integers(-1, 15))
        last = first + draw(st.integers(0, 6))
        made.append(plan.Life(name=str(index), words=draw(st.integers(1, 300)), first=first, last=last))
    return made


@given(tensors())
def test_no_two_tensors_that_live_together_overlap(given_tensors):
    where = plan.place(given_tensors, 1 << 14)
    for one in given_tensors:
        assert where[one.name] >= 0
        assert where[one.name] + one.words <= 1 << 14
        for other in given_tensors:
            together = one.first <= other.last and other.first <= one.last
            if one is not other and together:
                apart = (
                    where[one.name] + one.words <= where[other.name]
                    or where[other.name] + other.words <= where[one.name]
                )
                assert apart


def test_places_are_used_again():
    chain = [plan.Life(name=str(i), words=100, first=i, last=i + 1) for i in range(9)]
    assert max(plan.place(chain, 200).values()) == 100
    with pytest.raises(UnsupportedError, match="takes up to 200 words, the activation memory has 199"):
        plan.place(chain, 199)


def lowered(*parts: bytes) -> lower.Lowered:
    return lower.lower(quantised.recognise(graph.read(parts), "toy"))


def test_lifetimes_reach_from_the_writer_to_the_last_reader():
    network = lowered(residual())
    steps, source = network.steps, network.network.input
    found = {life.name: life for life in plan.lives(steps, source.name, source.words)}
    assert found[source.name].first == -1
    for index, step in enumerate(steps):
        for name in step.reads.values():
            assert found[name].last >= index
        if step.writes:
            assert found[step.writes].first <= index


def test_weights_stay_if_they_fit():
    made = plan.plan(lowered(*shipped_parts("resnet8-int8")), isa.Overlay())
    assert [type(c) for c in made.setup] == [isa.Load, isa.Load, isa.Load, isa.End]
    loads = [c for c in made.run if isinstance(c, isa.Load)]
    assert [c.base for c in loads] == [isa.Base.INPUT]
    assert made.wgt_words * 128 >= 77_418
    assert [c.wait_dma for c in made.run if not isinstance(c, isa.Load)][:3] == [True, False, False]


def test_streamed_weights_come_while_something_is_computed():
    network = lowered(*shipped_parts("resnet8-int8"))
    made = plan.plan(network, isa.Overlay(wgt_words=600))
    assert made.setup == ()
    assert made.wgt_words <= 600
    assert order.faults(made.run, overlay=isa.Overlay(wgt_words=600)) == []
    weights = [
        (i, c) for i, c in enumerate(made.run) if isinstance(c, isa.Load) and c.memory == isa.Memory.WGT
    ]
    assert sum(c.length for _, c in weights) == sum(len(step.weights) for step in network.steps)
    for index, command in weights[1:]:
        before = [c for c in made.run[:index] if not c.TRANSFER]
        assert not command.wait_compute
        assert isinstance(before[-1], isa.Conv | isa.Exit), "it runs beside what was issued last"
    assert {c.address for _, c in weights} == {0, 300}


def test_no_weights_are_fetched_before_an_exit_that_may_make_them_needless():
    made = plan.plan(lowered(residual()), isa.Overlay(), stream=True)
    leave = next(i for i, c in enumerate(made.run) if isinstance(c, isa.Exit))
    last_compute = max(i for i, c in enumerate(made.run[:leave]) if isinstance(c, isa.Conv))
    between = [c for c in made.run[last_compute:leave] if isinstance(c, isa.Load)]
    assert between == []
    assert isinstance(made.run[leave + 1], isa.Load)


def test_tables_have_to_fit():
    with pytest.raises(UnsupportedError, match="the overlay has 0 confidence tables"):
        plan.plan(lowered(residual()), isa.Overlay(tables=0))


@given(st.integers(1, 100), st.integers(9 * 2, 100), st.integers(16, 64))
def test_pieces_of_a_convolution_are_the_whole(filters, wgt_words, par_channels):
    (step,) = lowered_layers(
        a_convolution(filters, weight_scale=np.full(filters, 0.01), bias=np.zeros(filters, int))
    ).steps
    pieces = plan.split(step, wgt_words, par_channels)
    assert b"".join(piece.weights for piece in pieces) == step.weights
    assert b"".join(piece.parameters for piece in pieces) == step.parameters
    offset = 0
    for piece in pieces:
        assert piece.offset == offset
        assert len(piece.weights) <= wgt_words * 128
        assert len(piece.parameters) <= par_channels * 16
        offset += piece.words
    assert offset == step.words
