from __future__ import annotations

import pytest

from drivers.boards.composition import CommonOptions
from drivers.session.metering import power_event, wanted_meters
from testbed.errors import BoardError
from testbed.model.record import SampleFault
from testbed.wire import messages as m

FACTS = {
    "meter": "ina",
    "meters": {"ina": {"total": ["A"]}, "other": {}},
    "meters_absent": {"nvml": "no driver"},
}


def test_the_lab_file_decides_and_else_the_agent() -> None:
    assert wanted_meters(FACTS, CommonOptions(), "b") == ()
    assert wanted_meters(FACTS, CommonOptions(meter_period_ms=5), "b") == ("ina",)
    assert wanted_meters(FACTS, CommonOptions(meter_period_ms=5, meters=("other", "ina")), "b") == (
        "other",
        "ina",
    )
    assert wanted_meters({}, CommonOptions(meter_period_ms=5), "b") == ()


@pytest.mark.parametrize(("name", "why"), [("nvml", "no driver"), ("othr", "Did you mean 'other'")])
def test_a_meter_that_is_not_there_says_why(name: str, why: str) -> None:
    with pytest.raises(BoardError, match=why) as caught:
        wanted_meters(FACTS, CommonOptions(meter_period_ms=5, meters=(name,)), "b")
    assert caught.value.board == "b"
    assert caught.value.cure


def test_an_event_has_the_total_of_the_facts_and_its_faults() -> None:
    sent = m.PowerSamples(
        "ina", ("A", "B"), (1, 9), (1.0, 2.0, 3.0, 4.0), 7, ("garbage", "lost"), (1, 4), (2, 2, 3, 8)
    )
    event = power_event(sent, FACTS, "b", 2, "measured")
    assert (event.total, event.rails, event.dropped, event.boot) == (("A",), ("A", "B"), 7, 2)
    assert event.faults == (
        SampleFault(kind="garbage", first=2, last=2, count=1),
        SampleFault(kind="lost", first=3, last=8, count=4),
    )
    assert power_event(sent._replace(meter="unknown"), FACTS, "b", 2, "measured").total == ()
