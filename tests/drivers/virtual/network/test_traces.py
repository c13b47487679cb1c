from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.network.traces import CHANCE_BYTES, Chances, Constant, Steps, Unlimited, read_trace
from testbed.errors import ConfigError
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


def test_csv(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("t_s,rate_kbit\n10,8\n11,16\n")
    wire = read_trace(file)
    assert wire.through(0, 1000) == S
    assert wire.through(S, 1000) == S + S // 2
    assert wire.through(2 * S, 1000) == 3 * S


def test_mahimahi(tmp_path: Path) -> None:
    file = tmp_path / "t.up"
    file.write_text("5\n5\n10\n")
    wire = read_trace(file)
    assert [wire.through(0, CHANCE_BYTES) for _ in range(4)] == [5 * MS, 5 * MS, 10 * MS, 15 * MS]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("t.csv", "time,rate\n", "line 1"),
        ("t.csv", "t_s,rate_kbit\n0,1\n0,2\n", "line 3"),
        ("t.csv", "t_s,rate_kbit\n0,1\nx,2\n", "line 3"),
        ("t.csv", "t_s,rate_kbit\n0,0\n1,0\n", "rate above 0"),
        ("t.up", "5\n4\n", "line 2"),
        ("t.up", "-1\n", "line 1"),
        ("t.up", "0\n0\n", "period"),
        ("t.up", "", "period"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(tmp_path: Path, name: str, text: str, line: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigError, match=line) as caught:
        read_trace(file)
    assert name in str(caught.value)


def test_a_missing_trace_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(tmp_path / "none.csv")
