from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.machine.clock import Offset, SkewedClock

HOURS_NS = 3600 * 10**9


def at(host_ns: int, offset_ns: int = 0, drift_ppb: int = 0) -> int:
    return SkewedClock(host=lambda: host_ns, offset=lambda: offset_ns, drift_ppb=drift_ppb).now_ns()


def test_offset_and_drift_are_exact_over_an_hour() -> None:
    # 20 ppm of one hour are 72 ms.
    assert at(HOURS_NS, offset_ns=5, drift_ppb=20_000) == 5 + HOURS_NS + 72_000_000
    assert at(HOURS_NS, drift_ppb=-20_000) == HOURS_NS - 72_000_000


@given(
    st.integers(0, 10**18),
    st.integers(0, 10**12),
    st.integers(-(10**18), 10**18),
    st.integers(-50_000, 50_000),
)
def test_it_never_runs_backwards(start: int, later: int, offset: int, drift: int) -> None:
    assert at(start + later, offset, drift) >= at(start, offset, drift)


def test_a_span_of_the_board_is_told_in_the_hosts_time() -> None:
    slow = SkewedClock(drift_ppb=-50_000)
    assert slow.host_ns(1_000_000_000) == pytest.approx(1_000_050_002, abs=1)
    assert SkewedClock().host_ns(123) == 123


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(ValueError, match="stop the clock"):
        SkewedClock(drift_ppb=-1_000_000_000)


def test_an_offset_is_seen_by_whoever_shares_its_file(tmp_path: Path) -> None:
    machine = Offset(tmp_path / "clock", start=-(2**62))
    agent = SkewedClock(offset=Offset(tmp_path / "clock"), host=lambda: 7)
    assert agent.now_ns() == 7 - 2**62
    machine.set(5)
    assert agent.now_ns() == 12
    again = Offset(tmp_path / "clock", start=9)
    assert (agent.now_ns(), again()) == (16, 9)


def test_an_offset_that_nobody_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Offset(tmp_path / "clock")
    (tmp_path / "clock").write_bytes(b"1234")
    with pytest.raises(ValueError, match="length"):
        Offset(tmp_path / "clock")
