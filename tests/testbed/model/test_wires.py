import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model.wires import CHANCE_BYTES, Chances, Constant, Later, Steps, Unlimited
from testbed.units import MS, S

sizes = st.lists(st.tuples(st.integers(0, 2 * S), st.integers(1, 5000)), min_size=1, max_size=40)


@given(sizes, st.sampled_from(["constant", "steps", "chances"]))
def test_a_wire_never_gives_back_time(packets, kind) -> None:
    wire = {
        "constant": Constant(1e6),
        "steps": Steps([0, S, 2 * S], [1e5, 0.0, 1e6], 3 * S),
        "chances": Chances([0, 5 * MS, 5 * MS, 20 * MS], 20 * MS),
    }[kind]
    free = 0
    for gap, size in packets:
        start = free + gap
        done = wire.through(start, size)
        assert done >= start
        free = done


def test_unlimited_and_constant() -> None:
    assert Unlimited().through(5, 10**9) == 5
    assert Constant(1000.0).through(S, 500) == S + S // 2


def test_a_change_of_rate_is_felt_in_the_middle_of_a_packet() -> None:
    wire = Steps([0, S], [1000.0, 4000.0], 2 * S)
    assert wire.through(S // 2, 500) == S
    assert wire.through(S // 2, 900) == S + S // 10
    assert wire.through(2 * S, 1000) == 3 * S  # and over again


def test_nothing_goes_through_a_gap() -> None:
    wire = Steps([0, S], [0.0, 1000.0], 2 * S)
    assert wire.through(0, 100) == S + S // 10
    assert wire.through(S + 9 * S // 10, 200) == 3 * S + S // 10


def test_chances_carry_a_packet_each_share_one_and_are_lost_unused() -> None:
    wire = Chances([10 * MS, 20 * MS, 30 * MS], 30 * MS)
    assert wire.through(0, 700) == 10 * MS
    assert wire.through(10 * MS, 700) == 10 * MS  # the rest of the same chance
    assert wire.through(10 * MS, CHANCE_BYTES) == 20 * MS
    assert wire.through(25 * MS, 3000) == 40 * MS  # two chances; those before are gone
    assert wire.through(1000 * MS, 1) == 1000 * MS  # the first of the 34th round: 990 + 10


def test_a_recording_can_be_taken_up_in_its_middle() -> None:
    wire = Later(Steps([0, S], [1000.0, 4000.0], 2 * S), S)
    assert wire.through(0, 4000) == S
    assert wire.through(S, 500) == S + S // 2


@pytest.mark.parametrize(
    ("wire", "mean"),
    [
        (Unlimited(), math.inf),
        (Constant(5.0), 5.0),
        (Steps([0, 3 * S], [1000.0, 5000.0], 4 * S), 2000.0),
        (Later(Steps([0, 3 * S], [1000.0, 5000.0], 4 * S), S), 2000.0),
        (Chances([5 * MS, 10 * MS], 10 * MS), 2 * CHANCE_BYTES * 100),
    ],
)
def test_the_mean_rate_is_that_over_time(wire, mean) -> None:
    assert wire.mean_bytes_per_s == pytest.approx(mean)
