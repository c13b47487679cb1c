import itertools
from types import SimpleNamespace

import msgspec
import pytest

from testbed.contracts.toy_models import ToyBoard, ToyModel, profile
from testbed.model.placement import Hosted
from testbed.model.request import Request
from testbed.model.view import Health
from testbed.policy.fleet import Alike, Fleet, Team, by_power, teams_of
from testbed.policy.runners import (
    Residents,
    finish_on,
    infer,
    least_powerful,
    make_runner,
    soonest,
    unknown_runner,
)
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


def request(slack=None):
    deadline = None if slack is None else NOW + slack
    return Request(id=1, task="t", sample=0, arrival=NOW, deadline=deadline)


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


def fleet_of(v):
    """Every board of a kind of its own."""
    fleet = Fleet([[name] for name in v.boards])
    fleet.see(v)
    return fleet


def test_teams_are_ordered_by_power_then_slowness():
    able = {
        "big": runner(30.0),
        "mcu": runner(0.1),
        "unknown": runner(float("inf")),
        "slow": runner(30.0, 0.5),
    }
    teams = by_power(Team(Alike((name,)), (one,)) for name, one in able.items())
    assert [team.alike.boards for team in teams] == [("mcu",), ("slow",), ("big",), ("unknown",)]


def test_boards_that_are_alike_make_one_team_where_they_can_run_something():
    fleet = Fleet([["a", "c"], ["b"], ["d"]])
    teams = teams_of(fleet, {"a": [runner()], "b": [runner(2.0)], "c": [runner()], "d": []})
    assert [team.alike.boards for team in teams] == [("a", "c"), ("b",)]


def pick(v, asked, able, **more):
    fleet = fleet_of(v)
    teams = by_power(
        teams_of(fleet, {name: given if isinstance(given, list) else [given] for name, given in able.items()})
    )
    return least_powerful(v, NOW, asked, teams, 1000, **more)


def test_weak_board_first_while_it_can_promise():
    v = view(board("weak"), board("strong"))
    both = {"weak": runner(1.0, 0.2), "strong": runner(9.0)}
    assert pick(v, request(S), both).promised.board == "weak"
    assert pick(v, request(40 * MS), both).promised.board == "strong"
    none = pick(v, request(5 * MS), both)
    assert none.promised is None
    assert none.otherwise.board == "strong"


def test_promise_covers_the_escalation_and_a_reserve():
    v = view(board("weak"), board("strong"))
    both = {"weak": runner(1.0, p_off=0.2), "strong": runner(9.0)}
    assert pick(v, request(60 * MS), both, escalation=30 * MS).promised.board == "weak"
    assert pick(v, request(45 * MS), both, escalation=30 * MS).promised.board == "strong"
    assert pick(v, request(15 * MS), {"strong": both["strong"]}).promised is not None
    assert (
        pick(v, request(14 * MS), {"strong": both["strong"]}).promised is None
    )  # 13.1 ms of 14: less than a tenth is left


def test_weak_board_is_spared_a_queue_and_hopeless_work():
    both = {"weak": runner(1.0, p_off=0.6), "strong": runner(9.0)}
    one, two = view(board("weak", queued=1), board("strong")), view(board("weak", queued=2), board("strong"))
    free = view(board("weak"), board("strong"))
    assert pick(free, request(), both).promised.board == "weak"
    assert pick(one, request(), both).promised.board == "strong"
    assert pick(one, request(), both, max_ahead=1).promised.board == "weak"
    assert pick(two, request(), both, max_ahead=1).promised.board == "strong"
    assert pick(free, request(), both, given={"weak": 1}).promised.board == "strong"
    assert pick(free, request(), both, max_offload=0.5).promised.board == "strong"
    crowded = view(board("weak"), board("strong", queued=50))
    assert (
        pick(crowded, request(), {"strong": both["strong"]}).promised.board == "strong"
    )  # the last resort may queue


def test_within_a_board_expected_time_decides():
    v = view(board("b", resident={"net": 1, "other": 1}))
    sure = msgspec.structs.replace(runner(), model="other", service=20 * MS)
    unsure = runner(p_off=0.5)
    assert pick(v, request(), {"b": [sure, unsure]}, escalation=5 * MS).promised.runner.model == "net"
    assert pick(v, request(), {"b": [sure, unsure]}, escalation=50 * MS).promised.runner.model == "other"


def test_excluded_boards_and_empty_labs_give_nothing():
    v = view(board("b"))
    found = pick(v, request(), {"b": runner()}, without={"b"})
    assert (found.promised, found.otherwise) == (None, None)
    fleet = fleet_of(v)
    assert soonest(v, NOW, teams_of(fleet, {"b": [runner()]}), 0, without={"b"}) is None
    assert soonest(v, NOW, [], 0) is None


def test_soonest_looks_at_what_was_given_just_now():
    v = view(board("a"), board("b"))
    fleet = fleet_of(v)
    both = teams_of(fleet, {"a": [runner()], "b": [runner()]})
    assert soonest(v, NOW, both, 0).board == "a"
    assert soonest(v, NOW, both, 0, given={"a": 1}).board == "b"


def test_order_without_known_power_expects_no_energy():
    order = infer(view(board()), 7, finish_on(board(), unknown_runner("net"), 0, NOW))
    assert order.expected.energy_j is None
    assert infer(view(board()), 7, finish_on(board(), runner(), 0, NOW)).expected.energy_j == pytest.approx(
        0.05
    )


def test_load_is_ordered_once_and_again_after_the_board_was_away():
    residents, hosted = Residents(), (Hosted(board="b", model="net", instances=2),)
    bare = view(board("b", resident={}))
    [load] = residents.missing(bare, hosted, ["b"])
    assert (load.board, load.model, load.instances) == ("b", "net", 2)
    assert residents.missing(bare, hosted, ["b"]) == []
    assert residents.missing(view(board("b", resident={}, health=Health.DOWN)), hosted, ["b"]) == []
    assert len(residents.missing(bare, hosted, ["b"])) == 1
    assert Residents().missing(view(board("b", resident={}, loading={"net"})), hosted, ["b"]) == []
    assert Residents().missing(view(board()), hosted, ["b"]) == []
