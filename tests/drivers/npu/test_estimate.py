"""The estimate follows both engines: what overlaps costs once, what waits costs in turn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.npu import compile as compiler
from drivers.npu import estimate, isa
from tests.drivers.npu.test_graph import shipped_parts

PLAIN = estimate.Timing(
    start=0, fetch=0, add_word=1, conv=0, add=0, pool=0, mean=0, leave=20, latency=0, record=0
)
CONV = isa.Conv(
    source=0, target=0, weights=0, channel=0, in_height=10, in_width=10, out_height=10, out_width=10,
    in_groups=2, out_groups=3, kernel=3, tag=1,
)  # fmt: skip
LOAD = isa.Load(memory=1, offset=0, address=0, length=8000)
LEAVE = isa.Exit(source=0, classes=10, number=0, table=0, tag=2)


def test_a_convolution_costs_what_its_array_does():
    assert estimate.cycles(CONV, PLAIN) == 3 * 100 * 18
    assert estimate.cycles(replace(CONV, kernel=1), PLAIN) == 3 * 100 * 4, (
        "requantising is slower than one tap"
    )
    macs = 100 * 48 * 16 * 9
    assert estimate.ideal(macs) == estimate.cycles(CONV, PLAIN)


@pytest.mark.parametrize(("wait", "total"), [(False, 5400 + 20), (True, 1000 + 5400 + 20)])
def test_a_transfer_runs_beside_a_computation_unless_it_is_waited_for(wait, total):
    found = estimate.estimate([LOAD, replace(CONV, wait_dma=wait), LEAVE, isa.End()], PLAIN)
    assert found.exits == {0: total}
    assert found.layers == {1: 5400, 2: 20}


def test_the_end_waits_for_a_transfer_under_way():
    long = replace(LOAD, length=80_000)
    assert estimate.estimate([long, CONV, LEAVE], PLAIN).exits == {0: 10_000}
    assert estimate.estimate([CONV, replace(long, wait_compute=True), LEAVE], PLAIN).exits == {0: 15_400}


def test_short_commands_wait_for_their_successor():
    slow = replace(PLAIN, fetch=500)
    assert estimate.estimate([LEAVE, replace(LEAVE, number=1)], slow).exits == {0: 20, 1: 520}


def test_nothing_issues_while_an_exit_is_tested():
    found = estimate.estimate([LEAVE, replace(LOAD, length=80_000), replace(LEAVE, number=1)], PLAIN)
    assert found.exits == {0: 20, 1: 10_020}


def test_every_command_has_a_cost():
    words = {"source": 0, "target": 0, "height": 4, "width": 5, "groups": 3}
    assert estimate.cycles(isa.MaxPool(**words), PLAIN) == 60
    assert estimate.cycles(isa.AvgPool(**words, multiplier=1, shift=1), PLAIN) == 63
    added = isa.Add(a=0, b=0, target=0, words=7, multiplier_a=1, multiplier_b=1, shift=1)
    assert estimate.cycles(added) == 2 * 7 + 9
    assert estimate.cycles(isa.Store(offset=0, address=0, length=80), PLAIN) == 10
    assert estimate.cycles(isa.End()) == 0


def test_the_shipped_network_is_estimated_near_its_ideal():
    made = compiler.compile_network(shipped_parts("resnet8-int8"), "resnet8-int8")
    (leave,) = made.output.exits
    macs = sum(layer.macs for layer in made.layers)
    assert 0.7 < estimate.ideal(macs) / leave.cycles < 1
    assert sum(layer.cycles for layer in made.layers) < leave.cycles
