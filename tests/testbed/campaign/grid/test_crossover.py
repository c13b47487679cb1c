import msgspec
import pytest

from testbed.campaign.grid.cells import Cell
from testbed.campaign.grid.crossover import Pair, Radio, crossover_figures, crossovers
from tests.testbed.campaign.grid.test_gain import row

PAIR = Pair(one="serial", other="both", margin_frac=0.1)
POINT = Cell(rtt_ms=40, load=1.0, levels=5, uplink=10.0)
NEVER = None


def line(ratios, *, seed=1, uplink=10.0):
    """Rows of both at 20, 40, 60 ms, whose P99 have these ratios; ``None`` is never."""
    found = []
    for rtt, ratio in zip((20.0, 40.0, 60.0), ratios, strict=False):
        cell = msgspec.structs.replace(POINT, rtt_ms=rtt, uplink=uplink)
        found.append(row("serial", 100.0, cell=cell, seed=seed))
        found.append(row("both", NEVER if ratio is None else 100.0 * ratio, cell=cell, seed=seed))
    return found


def p99(rows):
    return [found for found in crossovers(rows, PAIR) if found.quantile == "p99"]


@pytest.mark.parametrize(
    ("ratios", "better", "rtt_ms"),
    [
        ((0.5, 0.5, 0.5), "everywhere", None),
        ((0.95, 1.0, 2.0), "nowhere", None),
        ((0.7, 0.8, 1.0), "below", 50.0),
        ((1.1, 0.7, 0.7), "above", 30.0),
        ((0.7, 0.7, NEVER), "below", 50.0),
        ((0.7, 1.0, 0.7), "changes more than once", None),
    ],
)
def test_the_crossover_is_where_the_other_stops_being_better(ratios, better, rtt_ms) -> None:
    (found,) = p99(line(ratios))
    assert found.better == better
    assert found.rtt_ms == (None if rtt_ms is None else pytest.approx(rtt_ms))
    assert found.cell.rtt_ms == 20


def test_cells_that_differ_otherwise_and_seeds_are_kept_apart() -> None:
    rows = [*line((0.5, 0.5, 0.5)), *line((1, 1, 1), uplink=2.0), *line((0.7, 0.8, 1.0), seed=2)]
    assert [(f.cell.uplink, f.seed, f.better) for f in p99(rows)] == [
        (10.0, 1, "everywhere"),
        (2.0, 1, "nowhere"),
        (10.0, 2, "below"),
    ]


def test_late_for_ever_is_no_ratio_but_tells_the_side() -> None:
    rows = [*line((NEVER, 0.5, 0.5)), row("third", 1.0)]
    (found,) = p99(rows)
    assert found.ratios == ((20.0, None), (40.0, 0.5), (60.0, 0.5))
    assert (found.better, found.rtt_ms) == ("above", pytest.approx(30.0))
    rows = [
        msgspec.structs.replace(r, p99_ms=None, cell=POINT) for r in (row("serial", 1.0), row("both", 1.0))
    ]
    assert p99(rows)[0].better == "nowhere"


def test_nothing_without_the_pair() -> None:
    assert crossovers([row("serial", 1.0)], PAIR) == []


def test_figures_are_those_of_the_operating_point_and_its_round_trips() -> None:
    rows = [r for s, last in ((1, 1.0), (2, 0.95), (3, 1.1)) for r in line((0.7, 0.8, last), seed=s)]
    rows = [msgspec.structs.replace(r, uplink_bytes=1e6 if r.policy == "both" else 0.0) for r in rows]
    found = crossover_figures(
        [*rows, *line((2, 2, 2), uplink=2.0)],
        POINT,
        PAIR,
        {"lte": Radio(up_mw_per_mbit_s=76.7, source="test")},
    )
    assert found["crossover_p99_seeds"] == 3
    assert found["crossover_p99_rtt_ms"] == pytest.approx(50.0)
    assert found["crossover_p99_rtt_ms_least"] == pytest.approx(40 + 20 / 3)
    assert found["crossover_p99_rtt_ms_largest"] == pytest.approx(40 + 20 * 0.1 / 0.15)
    assert found["p99_frac"] == pytest.approx(0.8)
    assert found["better_nowhere_p50_seeds"] == 3
    assert found["uplink_bytes_both"] == 1e6
    assert found["radio_mj_lte_both"] == pytest.approx(8 * 76.7)
