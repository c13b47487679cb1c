"""A list that would race is found, one that waits is not; the rule of issue is all that is relied upon."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.npu import isa, order

IN = isa.Load(memory=0, base=1, offset=0, address=0, length=64)
WEIGHTS = isa.Load(memory=1, offset=0, address=0, length=128)
PARAMETERS = isa.Load(memory=2, offset=0, address=0, length=256)
CONV = isa.Conv(
    source=0, target=20, weights=0, channel=0, in_height=2, in_width=4, out_height=2, out_width=4,
    in_groups=1, out_groups=1, kernel=1, wait_dma=True,
)  # fmt: skip
SETUP = [WEIGHTS, PARAMETERS]
MORE = replace(WEIGHTS, address=5)
OTHER = replace(CONV, source=20, target=60, in_groups=1)


def test_a_list_that_waits_is_right():
    assert order.faults([IN, CONV, isa.End()], SETUP) == []
    assert order.faults([WEIGHTS, PARAMETERS, IN, CONV, isa.End()]) == []


def test_a_computation_that_does_not_wait_for_its_input_is_found():
    (told,) = order.faults([IN, replace(CONV, wait_dma=False), isa.End()], SETUP)
    assert told == "command 1 can run beside command 0, and they share a place"


def test_an_earlier_transfer_has_ended_when_the_next_is_under_way():
    assert order.faults([IN, MORE, replace(CONV, wait_dma=False), isa.End()], SETUP) == []


def test_a_load_may_overwrite_what_only_earlier_computations_read():
    run = [IN, CONV, replace(OTHER, wait_dma=False, weights=5), WEIGHTS, isa.End()]
    assert order.faults(run, [*SETUP, MORE]) == []
    run = [IN, CONV, WEIGHTS, isa.End()]
    assert order.faults(run, SETUP) == ["command 2 can run beside command 1, and they share a place"]
    run[2] = replace(WEIGHTS, wait_compute=True)
    assert order.faults(run, SETUP) == []


def test_a_store_waits_for_what_it_stores():
    store = isa.Store(offset=0, address=20, length=64)
    assert order.faults([IN, CONV, store], SETUP) == [
        "command 2 can run beside command 1, and they share a place"
    ]
    assert order.faults([IN, CONV, replace(store, wait_compute=True)], SETUP) == []


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (replace(CONV, weights=1), "reads WGT 1..2, not all of it was written"),
        (replace(CONV, target=4), "overwrites what it reads"),
        (replace(CONV, target=16380), "leaves a memory"),
        (isa.Add(a=0, b=30, target=50, words=2, multiplier_a=1, multiplier_b=1, shift=1), "reads ACT 30..32"),
        (isa.MaxPool(source=0, target=4, height=2, width=4, groups=1), "overwrites what it reads"),
        (
            isa.AvgPool(source=4, target=30, height=2, width=4, groups=1, multiplier=1, shift=1),
            "reads ACT 4..12",
        ),
        (isa.Exit(source=0, classes=9, number=0, table=1), "reads TAB 1..2"),
    ],
)
def test_what_reads_the_unwritten_or_leaves_is_found(command, told):
    found = order.faults([IN, replace(command, wait_dma=True)], SETUP)
    assert len(found) == 1
    assert told in found[0]


def test_nothing_behind_the_end_counts():
    assert order.faults([isa.End(), CONV]) == []
