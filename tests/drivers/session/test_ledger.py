from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.session.ledger import Flight, Ledger
from testbed.model.action import Infer, Item

ONE = np.zeros((1, 4), np.uint8)


def flight(action, *, model="m", requests=(1,), **window):
    batch = tuple(Item(request=r) for r in requests)
    return Flight(Infer(id=action, board="b", model=model, batch=batch, **window), ONE, ())


def test_numbers_go_on_and_credits_bound_what_is_under_way():
    ledger = Ledger(2, first_number=40)
    for action in range(4):
        ledger.add(flight(action))
    assert [ledger.next(0).number for _ in range(2)] == [40, 41]
    assert ledger.next(0) is None
    assert ledger.settle(40).order.id == 0
    assert ledger.next(0).order.id == 2
    assert ledger.next_number == 43


def test_a_flight_settles_once():
    ledger = Ledger(1)
    ledger.add(flight(1))
    number = ledger.next(0).number
    assert ledger.settle(number) is not None
    assert ledger.settle(number) is None
    assert len(ledger) == 0


def test_windows_order_who_may_leave():
    ledger = Ledger(9)
    for each in (flight(1, earliest=100), flight(2), flight(3, latest=5)):
        ledger.add(each)
    assert [f.order.id for f in ledger.overdue(6)] == [3]
    assert ledger.next(6).order.id == 2
    assert ledger.next(6) is None
    assert ledger.next(100).order.id == 1


def test_items_drop_out_only_while_waiting():
    ledger = Ledger(1)
    waiting, other = flight(1, requests=(5, 6, 5)), flight(2)
    ledger.add(waiting)
    ledger.add(other)
    assert waiting.positions_of((5,)) == (0, 2)
    assert ledger.drop(waiting, (0, 2))
    assert waiting.kept == (1,)
    assert ledger.next(0) is waiting
    assert not ledger.drop(waiting, (1,))
    assert ledger.drop(other, (0,))
    assert ledger.find(2) is None


def test_overtaken_are_older_accepted_and_of_the_same_lane():
    ledger = Ledger(9)
    for each in (flight(1), flight(2), flight(3, instance=1), flight(4, model="other"), flight(5)):
        ledger.add(each)
    flights = [ledger.next(0) for _ in range(5)]
    for each in flights[:1] + flights[2:]:
        each.accepted = True
    last = ledger.settle(flights[3].number)
    assert [f.order.id for f in ledger.overtaken_by(last)] == [1]


def test_of_the_accepted_only_the_first_of_a_lane_is_due_again():
    ledger = Ledger(9)
    for each in (flight(1), flight(2), flight(3), flight(4, instance=1)):
        ledger.add(each)
    flights = [ledger.next(0) for _ in range(4)]
    for each in flights:
        each.again = 10
    flights[0].accepted = flights[1].accepted = flights[3].accepted = True
    assert [f.order.id for f in ledger.due_again(9)] == []
    assert [f.order.id for f in ledger.due_again(10)] == [1, 3, 4]


def test_expired_leave():
    ledger = Ledger(9)
    for action in (1, 2):
        ledger.add(flight(action))
        ledger.next(0).expires = action * 10
    assert [f.order.id for f in ledger.expired(15)] == [1]
    assert [f.order.id for f in ledger.drain()] == [2]


@given(st.lists(st.tuples(st.sampled_from(["add", "next", "settle", "drop", "drain"]), st.integers(0, 8))))
def test_every_flight_comes_out_exactly_once(steps):
    ledger, added, out = Ledger(3), [], []
    for verb, which in steps:
        if verb == "add":
            ledger.add(flight(len(added)))
            added.append(len(added))
        elif verb == "next":
            ledger.next(0)
        elif verb == "settle":
            found = ledger.settle(which)
            out += [found.order.id] if found else []
        elif verb == "drop":
            found = ledger.find(which)
            out += [which] if found and ledger.drop(found, found.kept) else []
        else:
            out += [f.order.id for f in ledger.drain()]
    out += [f.order.id for f in ledger.drain()]
    assert sorted(out) == added
