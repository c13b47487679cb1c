"""A trial is spoiled by a meter that failed in it, and not by one that cannot do better."""

from __future__ import annotations

import pytest

from testbed.campaign.metered import meters_lost
from testbed.measure.clocksync import COORDINATOR
from testbed.model.record import ClockProbe, PowerSamples, SampleFault
from testbed.units import MS, S
from tests.testbed.store.synthetic import facts

FACTS = {"jetson": facts("jetson")}
LOAD = (10 * S, 20 * S)


def block(times, *faults, meter="psu", boot=COORDINATOR):
    return PowerSamples(
        board="jetson",
        boot=boot,
        meter=meter,
        rails=("in",),
        total=("in",),
        t=tuple(times),
        power_w=(5.0,) * len(times),
        origin="measured",
        faults=tuple(SampleFault(kind=kind, first=at, last=at, count=1) for kind, at in faults),
    )


def every(start, end, step=100 * MS):
    return range(start, end, step)


@pytest.mark.parametrize("kind", ["lost", "no answer", "garbage"])
def test_a_meter_that_failed_for_a_third_of_the_load_is_told_with_the_reason(kind):
    blocks = [block(every(8 * S, 13 * S)), block(every(17 * S, 22 * S), (kind, 14 * S))]
    [told] = meters_lost(FACTS, blocks, [], LOAD)
    assert told.startswith(f"meter psu ({kind}): jetson: 41% of the interval without a power sample")


def test_one_that_never_came_back_and_one_that_gave_nothing():
    gone = block((), ("lost", 12 * S), ("lost", 13 * S))
    [told] = meters_lost(FACTS, [block(every(8 * S, 12 * S)), gone], [], LOAD)
    assert "81% of the interval" in told
    assert meters_lost(FACTS, [gone], [], LOAD) == ["meter psu (lost): no power samples"]


def test_a_short_loss_leaves_the_energy_and_the_trial():
    blocks = [block(every(8 * S, 13 * S)), block(every(14 * S, 22 * S), ("lost", 13 * S))]
    assert meters_lost(FACTS, blocks, [], LOAD) == []


def test_a_load_too_short_for_the_meter_or_beyond_its_range_is_no_failure_of_it():
    assert meters_lost(FACTS, [block(every(8 * S, 22 * S, 6 * S))], [], LOAD) == []
    full = block(every(8 * S, 22 * S), ("saturated", 15 * S))
    assert meters_lost(FACTS, [full], [], LOAD) == []


def test_a_board_s_own_meter_is_judged_on_our_clock_and_apart_from_the_others():
    ahead = 300 * S
    probes = [
        ClockProbe(board="jetson", boot=1, t0=at, t1=at + ahead + MS, t2=at + ahead + MS, t3=at + 2 * MS)
        for at in (8 * S, 21 * S)
    ]
    own = [
        block(every(8 * S + ahead, 12 * S + ahead), meter="ina3221", boot=1),
        block(every(19 * S + ahead, 22 * S + ahead), ("lost", 13 * S + ahead), meter="ina3221", boot=1),
    ]
    [told] = meters_lost(FACTS, [*own, block(every(8 * S, 22 * S))], probes, LOAD)
    assert told.startswith("meter ina3221 (lost): jetson: 71%")
