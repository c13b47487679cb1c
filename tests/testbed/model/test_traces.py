from pathlib import Path

import pytest

from testbed.errors import ConfigError
from testbed.model.traces import read_trace
from testbed.model.wires import CHANCE_BYTES
from testbed.units import MS, S


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
        ("t.csv", "time,rate\n0,1\n1,1\n", "line 1"),
        ("t.csv", "t_s,rate_kbit\n0,nan\n1,2\n", "line 2: rates must be finite"),
        ("t.csv", "t_s,rate_kbit\n0,1\ninf,2\n", "line 3"),
        ("t.up", "9" * 5000, "line 1"),
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
