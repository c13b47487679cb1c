"""The index of equal boards against asking each of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model.placement import Hosted
from testbed.model.profile import ProfileBook
from testbed.policy import PolicySettings
from testbed.policy.fleet import Fleet
from testbed.policy.residents import Residents
from testbed.policy.runners import Runner, finish_on
from testbed.units import MS
from tests.testbed.policy.test_runners import NOW, board, runner, view

BOARDS = ("a", "b", "c", "d", "e")
CHANGE = st.fixed_dictionaries(
    {
        "name": st.sampled_from(BOARDS),
        "queued": st.integers(0, 3),
        "busy_ms": st.sampled_from([0, 0, 0, 1, 7, 50]),
        "rtt": st.sampled_from([2 * MS, 2 * MS, 40 * MS]),
        "rate": st.sampled_from([1e6, 1e6, float("inf"), 1e4]),
        "copies": st.sampled_from([1, 1, 1, 2, 0]),
    }
)


def asked_one_by_one(
    v: Any, now: int, one: Runner, size: int, most: int | None, without: set[str], ahead: dict[str, int]
) -> tuple[int, int, int, str] | None:
    found = []
    for place, name in enumerate(BOARDS):
        items = v.boards[name].queued + ahead.get(name, 0)
        if name in without or (most is not None and items > most):
            continue
        pick = finish_on(v.boards[name], one, size, now, ahead.get(name, 0))
        if pick is not None:
            found.append((pick.finish, items, place, name))
    return min(found, default=None)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(CHANGE, max_size=4), min_size=1, max_size=12),
    st.sampled_from([None, 0, 1]),
    st.sets(st.sampled_from(BOARDS), max_size=2),
    st.dictionaries(st.sampled_from(BOARDS), st.integers(1, 2), max_size=2),
    st.sampled_from([0, 784]),
)
def test_the_choice_is_that_of_asking_every_board(
    rounds: list[list[dict[str, Any]]], most: int | None, without: set[str], ahead: dict[str, int], size: int
) -> None:
    v, one = view(*(board(name) for name in BOARDS)), runner()
    fleet = Fleet([BOARDS])
    for number, changes in enumerate(rounds):
        now = NOW + number * 3 * MS
        touched = dict.fromkeys(BOARDS if number == 0 else ())
        for change in changes:
            old = v.boards[change["name"]]
            lanes = max(change["copies"], 1)
            new = board(
                change["name"],
                queued=change["queued"],
                rtt=change["rtt"],
                up_bytes_per_s=change["rate"],
                resident={"net": change["copies"]} if change["copies"] else {},
                # as in the core: with nothing on its way every lane is free
                free_at=[now + change["busy_ms"] * MS * bool(change["queued"])] * lanes,
            )
            if (new.rtt, new.up_bytes_per_s, new.resident) == (old.rtt, old.up_bytes_per_s, old.resident):
                new.version = old.version
            v.boards[new.id] = new
            touched[new.id] = None
        for each in v.boards.values():
            each.busy_until = [max(now, t) for t in getattr(each, "free_at", [0])]
        v.touched_boards = touched
        fleet.see(v)
        expected = asked_one_by_one(v, now, one, size, most, without, ahead)
        found = fleet.alike("c").soonest(v, now, one, size, most=most, without=without, given=ahead)
        assert (found and (found.finish, found.board)) == (expected and (expected[0], expected[3]))


def test_links_that_change_all_the_time_leave_nothing_behind() -> None:
    fleet = Fleet([["a", "b"]])
    for rtt in range(100):
        fleet.see(view(board("a", rtt=rtt), board("b", rtt=rtt)))
    assert len(fleet._slots["a"].alike.shelves) == 1


def test_boards_with_the_same_models_and_profiles_at_one_site_are_alike() -> None:
    rows: Any = {(b, "m"): ("fast" if b == "d" else "slow") for b in BOARDS if b != "e"}
    found = Fleet.of(
        PolicySettings(
            sites={"edge": ("a", "b", "d", "e"), "dc": ("c",)},
            models=dict.fromkeys(BOARDS, ("m",)),
            profiles=ProfileBook(rows),
        )
    )
    assert [found.alike(b).boards for b in BOARDS] == [("a", "b"), ("a", "b"), ("c",), ("d",), ("e",)]


def test_a_load_is_looked_for_only_on_boards_that_changed() -> None:
    residents, fleet = Residents(), Fleet([BOARDS])
    hosted = tuple(Hosted(board=b, model="net") for b in BOARDS)
    v = view(*(board(b, resident={}) for b in BOARDS))
    assert [load.board for load in residents.missing(v, hosted, fleet.see(v))] == list(BOARDS)
    v.boards["b"].queued = 1
    assert fleet.see(v) == []
    v.boards["b"].version = -5
    assert fleet.see(v) == ["b"]
    v.boards = {"b": v.boards["b"]}  # to look at any other would be a KeyError
    assert residents.missing(v, hosted, ["b"]) == []
