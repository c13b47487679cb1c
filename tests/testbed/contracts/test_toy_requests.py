import pytest

from testbed.contracts.toy_requests import demand, stream
from testbed.units import MS, S


def test_stream_is_evenly_spaced():
    made = stream(3, 10 * MS, first=5, start=S, slack=50 * MS, group="g")
    assert [(r.id, r.arrival, r.deadline) for r in made] == [
        (5, 1000 * MS, 1050 * MS),
        (6, 1010 * MS, 1060 * MS),
        (7, 1020 * MS, 1070 * MS),
    ]


def test_demand_counts_the_last_second_only():
    old, new = (
        stream(50, MS, group="old"),
        stream(20, 10 * MS, first=100, start=3 * S, slack=40 * MS, group="new"),
    )
    seen = demand([*old, *new], 3 * S + 200 * MS)
    assert seen.rate_hz == {new[0].task: 20.0}
    assert seen.group_hz == {"new": 20.0}
    assert seen.group_slack == {"new": 40 * MS}
    assert seen.group_task == {"new": new[0].task}


def test_demand_of_a_short_past_is_not_blown_up():
    assert demand(stream(1, MS, slack=None), MS).rate_hz["toy/ten-classes"] == pytest.approx(10.0)
    assert demand(stream(1, MS, slack=None), MS).slack == {}
