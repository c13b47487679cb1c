"""The demand meter."""

from __future__ import annotations

import pytest

from testbed.coordinator.demand import DemandMeter
from testbed.model.request import Request
from testbed.units import MS, S


def request(t: int, group: str | None = None, slack: int | None = None) -> Request:
    return Request(
        id=t, task="t", sample=0, arrival=t, group=group, deadline=None if slack is None else t + slack
    )


def test_nothing_seen_is_no_demand() -> None:
    assert DemandMeter().read(5 * S).rate_hz == {}


def test_a_steady_stream_is_read_at_its_rate() -> None:
    meter = DemandMeter()
    for i in range(2000):
        meter.saw(i * 10 * MS, request(i * 10 * MS))
    demand = meter.read(20 * S)
    assert demand.rate_hz["t"] == pytest.approx(100, rel=0.02)
    assert demand.ewma_hz["t"] == pytest.approx(100, rel=0.02)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    meter = DemandMeter()
    for i in range(100):
        meter.saw(i * MS, request(i * MS, "g"))
    demand = meter.read(60 * S)
    assert demand.rate_hz == {"t": 0}
    assert demand.group_hz == {"g": 0}
    assert demand.ewma_hz["t"] < 30


def test_the_tightest_deadline_per_task_and_group_is_told() -> None:
    meter = DemandMeter()
    meter.saw(0, request(0, "g", 50 * MS))
    meter.saw(1, request(1, "h", 20 * MS))
    meter.saw(2, request(2))
    demand = meter.read(S)
    assert demand.slack == {"t": 20 * MS}
    assert demand.group_slack == {"g": 50 * MS, "h": 20 * MS}
    assert demand.group_task == {"g": "t", "h": "t"}
