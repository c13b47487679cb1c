from __future__ import annotations

import math

import pytest

from drivers.virtual.machine.stopping import in_paced_time
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Quantity, Service


def service(exit_: int, low: float, high: float) -> Service:
    return Service(exit=exit_, batch=1, p=(0.0, 1.0), ms=(low, high), origin=Origin.ASSUMED, source="test")


PROFILE = HwProfile(
    schema=1,
    board="b",
    model="net",
    task="t",
    service=(service(0, 1.0, 2.0), service(1, 4.0, 5.0), service(2, 8.0, 9.0)),
    accuracy=(Quantity(value=0.5, origin=Origin.ASSUMED, source="test"),) * 3,
)
MS = 1_000_000


@pytest.mark.parametrize(
    ("limit", "own", "rule"),
    [
        (0, (), ()),
        (0, (0.7, 0.8), (0.7, 0.8)),
        (1, (), (0.0,)),
        (1 * MS, (0.7, 0.8), (0.0,)),
        (1 * MS + 1, (0.7, 0.8), (0.7, 0.0)),
        (4 * MS, (), (math.inf, 0.0)),
        (5 * MS, (0.7,), (0.7, math.inf, 0.0)),
        (8 * MS + 1, (0.7,), (0.7,)),
    ],
)
def test_the_first_exit_reached_so_late_is_left_by_all(limit, own, rule) -> None:
    assert in_paced_time([own], [limit], PROFILE, 1, 0.0) == [rule]


def test_a_slow_draw_and_a_large_batch_reach_an_exit_later() -> None:
    assert in_paced_time([()], [2 * MS], PROFILE, 1, 0.0) == [(math.inf, 0.0)]
    assert in_paced_time([()], [2 * MS], PROFILE, 1, 1.0) == [(0.0,)]
    assert in_paced_time([(), ()], [2 * MS, 0], PROFILE, 2, 0.0) == [(0.0,), ()]
