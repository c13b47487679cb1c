import msgspec
import pytest

from testbed.campaign.grid.cells import Cell, Factors

POINT = Cell(rtt_ms=40, load=1.0, levels=5)


def test_the_grid_is_the_product_and_the_rest_stays_at_the_point() -> None:
    cells = Factors(rtt_ms=(5, 40), uplink=(2.0, "a.csv")).cells(POINT)
    assert [(c.rtt_ms, c.uplink) for c in cells] == [(5, 2.0), (5, "a.csv"), (40, 2.0), (40, "a.csv")]
    assert {(c.load, c.levels, c.deadline_ms) for c in cells} == {(1.0, 5, None)}
    assert Factors().cells(POINT) == [POINT]


def test_what_is_not_set_is_not_written() -> None:
    assert msgspec.to_builtins(POINT) == {"rtt_ms": 40, "load": 1.0, "levels": 5}
    assert msgspec.convert({"rtt_ms": 40, "load": 1, "levels": 5}, Cell) == POINT


def test_the_same_elsewhere() -> None:
    assert POINT.elsewhere(5.0) == Cell(rtt_ms=5, load=1.0, levels=5)


@pytest.mark.parametrize(
    "wrong", [{"rtt_ms": -1}, {"load": 0}, {"uplink": 0}, {"payload_bytes": -1}, {"deadline_ms": -1}]
)
def test_what_no_cell_can_be_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="must"):
        Cell(**{"rtt_ms": 40, "load": 1.0, "levels": 5, **wrong})
