import pytest

pytest.importorskip("simpy", reason="the yardstick needs simpy (extra dev)")

from benchmarks.simulate import COUNTS, Scenario, bare_queue, where_time_goes
from testbed.coordinator.core import Core


@pytest.fixture(scope="module")
def scenario():
    return Scenario()


def test_both_play_the_same_arrivals_and_service_times(scenario):
    services = []
    assert scenario.play(200, services=services) > 0
    arrivals = scenario.arrivals(200)
    assert len(services) >= len(arrivals) == 200
    assert arrivals == sorted(arrivals)
    assert min(services) > 0
    assert len(scenario.virtual.lab.boards) == sum(COUNTS.values()) == 20
    assert bare_queue(arrivals, services[:200], 20) > 0


def test_parts_add_up_and_nothing_stays_wrapped(scenario):
    before = Core.handle
    parts = where_time_goes(scenario, 100)
    assert set(parts) == {"decide", "core", "boards", "record", "draw", "rest"}
    assert min(parts["decide"], parts["core"], parts["boards"], parts["record"]) > 0
    assert Core.handle is before
