import itertools
from types import SimpleNamespace

import msgspec
import pytest

from testbed.contracts.toy_models import ToyBoard, ToyModel, profile
from testbed.model.view import Health
from testbed.policy.runners import finish_on, infer, make_runner, unknown_runner
from testbed.units import MS, S

NET = ToyModel(name="net", parts_ms=(4.0, 6.0), accuracy=(0.7, 0.9), kept_bytes=(0, 0))
NOW = 10 * S
VERSIONS = itertools.count()


def board(name="b", **more):
    given = {
        "id": name,
        "health": Health.UP,
        "resident": {"net": 1},
        "loading": set(),
        "version": next(VERSIONS),
        "busy_until": [NOW],
        "queued": 0,
        "rtt": 2 * MS,
        "up_bytes_per_s": 1e6,
    }
    return SimpleNamespace(**{**given, **more})


def view(*boards):
    ids = iter(range(1, 100))
    by_name = {b.id: b for b in boards}
    return SimpleNamespace(boards=by_name, touched_boards=by_name, new_id=lambda: next(ids))


def runner(watts=5.0, speed=1.0, **more):
    made = make_runner(profile(ToyBoard(id="b", speed=speed), NET), **more)
    return msgspec.structs.replace(made, watts=watts)


def test_service_counts_the_exits_that_are_taken():
    assert runner().service == 10 * MS
    assert runner(exits=(0.9,), exit_frac=(0.5, 0.5)).service == 7 * MS
    assert runner(exit_frac=(1.0, 0.0)).slow > 10 * MS  # a promise rests on the last exit all the same


def test_finish_adds_way_line_lane_and_service():
    size = 1000  # 1 ms on the line
    assert finish_on(board(), runner(), size, NOW).finish == NOW + (1 + 1 + 10 + 1) * MS
    queued = finish_on(board(queued=2), runner(), size, NOW)
    assert queued.finish == NOW + (1 + 3 + 10 + 1) * MS
    busy = finish_on(board(busy_until=[NOW + 50 * MS]), runner(), size, NOW)
    assert busy.finish == NOW + (50 + 10 + 1) * MS
    ahead = finish_on(board(busy_until=[NOW + 50 * MS]), runner(), size, NOW, ahead=2)
    assert ahead.finish == NOW + (50 + 20 + 10 + 1) * MS
    assert finish_on(board(up_bytes_per_s=float("inf")), runner(), size, NOW).finish == NOW + 12 * MS


def test_free_lane_is_taken_among_those_that_hold_the_model():
    lanes = [NOW + 30 * MS, NOW + 20 * MS, NOW]
    assert finish_on(board(resident={"net": 3}, busy_until=lanes), runner(), 0, NOW).lane == 2
    assert finish_on(board(resident={"net": 2}, busy_until=lanes), runner(), 0, NOW).lane == 1


@pytest.mark.parametrize("state", [{"health": Health.DOWN}, {"resident": {}}, {"resident": {"other": 1}}])
def test_cannot_run_where_it_is_not_up_and_resident(state):
    assert finish_on(board(**state), runner(), 0, NOW) is None


def test_degraded_link_still_runs():
    assert finish_on(board(health=Health.DEGRADED), runner(), 0, NOW) is not None


def test_order_without_known_power_expects_no_energy():
    order = infer(view(board()), 7, finish_on(board(), unknown_runner("net"), 0, NOW))
    assert order.expected.energy_j is None
    assert infer(view(board()), 7, finish_on(board(), runner(), 0, NOW)).expected.energy_j == pytest.approx(
        0.05
    )
