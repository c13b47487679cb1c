import msgspec

from testbed.coordinator.residency import Residency
from testbed.model.action import Load
from testbed.model.origin import Origin
from testbed.model.profile import Quantity
from testbed.units import MS
from tests.testbed.coordinator.test_modelled import profile


def told(value):
    return Quantity(value=value, origin=Origin.ASSUMED, source="test")


def sized(load_ms, size):
    return msgspec.structs.replace(profile((1, 1, 1)), load_ms=told(load_ms), memory_bytes=told(size))


PROFILES = {"a": sized(10.0, 4), "b": sized(20.0, 4), "c": sized(30.0, 9)}


def order(model, *evict):
    return Load(id=1, board="x", model=model, evict=evict)


def test_all_are_held_unless_told_otherwise() -> None:
    assert all(Residency(PROFILES).holds(model, 0) for model in PROFILES)
    some = Residency(PROFILES, ("a",))
    assert some.holds("a", 0)
    assert not some.holds("b", 10**12)


def test_a_load_takes_its_time_and_the_next_one_waits_for_it() -> None:
    held = Residency(PROFILES, ())
    assert held.load(order("a"), 5 * MS) == (15 * MS, 10 * MS, "")
    assert held.load(order("b"), 6 * MS) == (35 * MS, 20 * MS, "")
    assert not held.holds("b", 34 * MS)
    assert held.holds("b", 35 * MS)


def test_what_is_held_already_costs_nothing() -> None:
    assert Residency(PROFILES).load(order("a"), 5) == (5, 0, "")


def test_what_is_evicted_is_gone_at_once_and_makes_room() -> None:
    held = Residency(PROFILES, ("a", "b"), 9)
    ready, _, error = held.load(order("c"), 0)
    assert "does not fit: 17 of 9 bytes" in error
    assert ready == 30 * MS
    _, _, error = held.load(order("c", "a", "b"), 0)
    assert error == ""
    assert not held.holds("a", 0)


def test_nothing_known_costs_nothing() -> None:
    bare = {"a": profile((1, 1, 1))}
    assert Residency(bare, (), 1).load(order("a"), 7) == (7, 0, "")
