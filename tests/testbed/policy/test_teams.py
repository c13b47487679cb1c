import msgspec

from testbed.model.request import Request
from testbed.policy.fleet import Alike, Fleet
from testbed.policy.teams import Team, by_power, least_powerful, soonest, teams_of
from testbed.units import MS, S
from tests.testbed.policy.test_runners import NOW, board, runner, view


def request(slack=None):
    deadline = None if slack is None else NOW + slack
    return Request(id=1, task="t", sample=0, arrival=NOW, deadline=deadline)


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
