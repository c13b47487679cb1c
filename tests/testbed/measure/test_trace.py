"""A meter's blocks become one trace on the coordinator's clock, with what is known of the meter."""

from __future__ import annotations

import math

import msgspec
import pytest

from testbed.measure.clocksync import COORDINATOR, ClockBook
from testbed.measure.trace import total_trace
from testbed.model.energy import UNKNOWN_METER
from testbed.model.meter import MeterTraits, RailTraits
from testbed.model.origin import Origin
from testbed.model.record import Alignment, PowerSamples, SampleFault
from testbed.units import MS, S

BLOCK = PowerSamples(
    board="b",
    boot=COORDINATOR,
    meter="ina3221",
    rails=("VDD_GPU", "NC", "VDD_CPU"),
    total=("VDD_GPU", "VDD_CPU"),
    t=(0, S, 2 * S),
    power_w=(1.0, 100.0, 2.0, 1.5, 100.0, 2.5, 2.0, 100.0, 3.0),
    origin="cited",
)


def test_only_the_total_rails_are_added():
    found = total_trace([BLOCK], ClockBook({}))
    assert found.power_w.tolist() == [3.0, 4.0, 5.0]
    assert found.rail == "VDD_GPU+VDD_CPU"
    assert found.origin is Origin.CITED


def test_overlapping_blocks_give_increasing_stamps():
    again = msgspec.structs.replace(BLOCK, t=(S, 2 * S, 3 * S))
    assert total_trace([again, BLOCK], ClockBook({})).t.tolist() == [0, S, 2 * S, 3 * S]


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([], "no power samples"),
        ([msgspec.structs.replace(BLOCK, total=())], "board's total"),
        ([msgspec.structs.replace(BLOCK, boot=0)], "never probed"),
    ],
)
def test_no_trace_without_a_reason(blocks, reason):
    assert reason in total_trace(blocks, ClockBook({}))


def test_delay_is_taken_off_and_steps_and_offsets_of_rails_add_up_as_independent():
    rail = RailTraits(step_v=0.008, step_a=0.02, bus_v=20.0, offset_w=0.3)
    traits = MeterTraits(quantity="instant", delay_ns=5 * MS, gain_frac=0.01, rails={"": rail})
    found = total_trace([BLOCK], ClockBook({}), traits)
    assert found.t.tolist() == [-5 * MS, S - 5 * MS, 2 * S - 5 * MS]
    assert found.step_w == pytest.approx(0.4 * math.sqrt(2))
    assert found.offset_w == pytest.approx(0.3 * math.sqrt(2))
    assert found.traits.gain_frac == pytest.approx(math.hypot(0.01, 0.0004 / math.sqrt(12)))


def test_a_meter_of_which_nothing_is_known_has_no_step():
    found = total_trace([BLOCK], ClockBook({}))
    assert found.step_w is None
    assert found.traits == UNKNOWN_METER
    assert found.over.shape == (0, 2)


def test_samples_and_faults_at_the_end_of_the_range_are_marked():
    traits = MeterTraits(quantity="instant", rails={"VDD_CPU": RailTraits(full_scale_w=3.0)})
    fault = SampleFault(kind="saturated", first=4 * S, last=5 * S, count=9)
    other = msgspec.structs.replace(fault, kind="garbage")
    late = msgspec.structs.replace(BLOCK, t=(), power_w=(), faults=(fault, other))
    found = total_trace([BLOCK, late], ClockBook({}), traits)
    assert found.over.tolist() == [[2 * S, 2 * S], [4 * S, 5 * S]]


def test_what_a_load_pattern_told_is_taken_off_and_its_error_stands_for_the_delays():
    traits = MeterTraits(quantity="instant", delay_ns=5 * MS, delay_bound_ns=80 * MS)
    aligned = (Alignment(board="b", meter="ina3221", at=S, offset=30 * MS, error=2 * MS),)
    found = total_trace([BLOCK], ClockBook({}), traits, aligned)
    assert found.t.tolist() == [-35 * MS, S - 35 * MS, 2 * S - 35 * MS]
    assert (found.bound, found.traits.delay_bound_ns) == (4 * MS, 0)
    failed = (Alignment(board="b", meter="ina3221", at=S, reason="not seen"),)
    assert total_trace([BLOCK], ClockBook({}), traits, failed).traits.delay_bound_ns == 80 * MS
