import pytest

from testbed.campaign.grid.cells import Cell
from testbed.campaign.grid.gain import figures, gains
from testbed.campaign.grid.tally import GridRow

POINT, OTHER = Cell(rtt_ms=40, load=1.0, levels=5), Cell(rtt_ms=5, load=0.3, levels=5)


def row(policy, p99, *, cell=POINT, seed=1, meets=True, ours=False):
    return GridRow(
        cell=cell,
        policy=policy,
        ours=ours,
        seed=seed,
        requests=10,
        answered=10,
        p50_ms=1.0,
        p99_ms=p99,
        p50_ci=None,
        p99_ci=None,
        missed_frac=0.0,
        accuracy=0.9,
        targets=(),
        meets=meets,
        offload_frac=0.0,
        dc_busy_frac=0.0,
        uplink_bytes=0.0,
        loads=0,
        cancelled={},
    )


def test_the_best_baseline_that_keeps_the_accuracy_counts() -> None:
    (gain,) = gains(
        [
            row("ours", 50.0, ours=True),
            row("quick but wrong", 10.0, meets=False),
            row("a", 200.0),
            row("b", 100.0),
        ],
        "ours",
    )
    assert (gain.gain, gain.best) == (2.0, "b")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([row("ours", 50.0, ours=True), row("a", 9.0, meets=False)], "no baseline"),
        ([row("ours", 50.0, ours=True), row("a", None)], "no baseline"),
        ([row("ours", 50.0, ours=True, meets=False), row("a", 90.0)], "ours does not meet"),
        ([row("ours", None, ours=True), row("a", 90.0)], "ours does not meet"),
        ([row("a", 90.0)], "ours does not meet"),
    ],
)
def test_no_gain_without_two_that_keep_the_accuracy(rows, why) -> None:
    (gain,) = gains(rows, "ours")
    assert gain.gain is None
    assert why in gain.best


def test_headline_is_the_median_over_seeds_at_the_operating_point() -> None:
    rows = [
        r
        for seed, theirs in ((1, 100.0), (2, 300.0), (3, 150.0))
        for r in (row("ours", 50.0, seed=seed, ours=True), row("a", theirs, seed=seed))
    ]
    rows += [row("ours", 50.0, cell=OTHER, ours=True), row("a", 40.0, cell=OTHER)]
    found = figures(rows, POINT, "ours")
    assert found["p99_gain"] == found["p99_gain_ours"] == 3.0
    assert found["cells_with_gain_below_1"] == 1
    assert found["cells"] == 2


def test_no_figure_where_there_is_no_gain() -> None:
    assert figures([row("a", 1.0)], POINT, "ours") == {}
