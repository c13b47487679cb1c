from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.machine.rate import LineRate

BYTE_NS = 10 * 10**9 / 115_200


def test_a_byte_lasts_ten_bits() -> None:
    line = LineRate(115_200)
    line.begin(1000)
    assert line.due(1000 + int(BYTE_NS) - 1) == 0
    assert line.due(1000 + int(BYTE_NS) + 1) == 1
    assert line.until(1, 1000) == pytest.approx(BYTE_NS, abs=1)


@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=200))
def test_late_wake_ups_do_not_add_up(steps: list[int]) -> None:
    line, now, handed = LineRate(115_200), 7, 0
    line.begin(now)
    for step in steps:
        now += step
        due = line.due(now)
        line.passed(due)
        handed += due
    assert handed == (now - 7) * 115_200 // (10 * 10**9)


@given(st.integers(1, 5000), st.integers(0, 10**15), st.sampled_from([9600, 115_200, 3_000_000]))
def test_waiting_as_told_is_enough(count: int, start: int, baud: int) -> None:
    line = LineRate(baud)
    line.begin(start)
    end = start + line.until(count, start)
    assert line.due(end) == count
    assert line.due(end - 2) == count - 1


def test_an_idle_line_starts_anew_but_never_before_the_last_byte_is_through() -> None:
    line = LineRate(9600)
    line.begin(0)
    line.passed(10)
    line.begin(1)  # at once: the ten bytes are still on the line
    assert line.until(1, 0) == pytest.approx(11 * 10 * 10**9 / 9600, abs=2)
    line.passed(1)
    line.begin(10**12)  # long after
    assert line.until(1, 10**12) == pytest.approx(10 * 10**9 / 9600, abs=2)


def test_no_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="carries nothing"):
        LineRate(0)
