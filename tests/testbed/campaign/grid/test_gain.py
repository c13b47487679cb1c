import msgspec
import pytest

from testbed.campaign.grid.cells import Cell
from testbed.campaign.grid.gain import figures, gains, keeps_accuracy
from testbed.campaign.grid.tally import GridRow, TargetCount

POINT, OTHER = Cell(rtt_ms=40, load=1.0, levels=5), Cell(rtt_ms=5, load=0.3, levels=5)


def target(accuracy, *, asked=0.9, requests=2000, different=1264):
    right = round(accuracy * requests)
    return TargetCount(
        target=asked,
        requests=requests,
        right=right,
        answered=requests,
        different=different,
        reached=True,
        p99_ms=1.0,
    )


def row(policy, p99, *, cell=POINT, seed=1, meets=True, ours=False, answered=10, targets=None):
    return GridRow(
        cell=cell,
        policy=policy,
        ours=ours,
        seed=seed,
        drawn_from=4000,
        requests=10,
        answered=answered,
        p50_ms=1.0,
        p99_ms=p99,
        p50_ci=None,
        p99_ci=None,
        missed_frac=0.0,
        accuracy=0.9,
        targets=(target(0.91 if meets else 0.8),) if targets is None else targets,
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
        ([row("ours", 50.0, ours=True, meets=False), row("a", 90.0)], "ours does not keep"),
        ([row("ours", None, ours=True), row("a", 90.0)], "ours does not keep"),
        ([row("a", 90.0)], "ours does not keep"),
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
    assert (found["p99_gain_least"], found["p99_gain_largest"], found["p99_gain_seeds"]) == (2.0, 6.0, 3)
    assert found["p99_gain"] == found["p99_gain_ours"] == 3.0
    assert found["cells_with_gain_below_1"] == 1
    assert found["cells"] == 2


def test_no_gain_is_a_figure_where_there_is_none_and_what_it_would_hide_is_told_all_the_same() -> None:
    found = figures([row("a", 1.0, answered=5)], POINT, "ours")
    assert not [name for name in found if "gain" in name]
    assert found["unanswered_frac_a"] == 0.5
    assert found["keeps_accuracy_a"] == 0.0


def test_all_seeds_together_say_who_keeps_the_accuracy() -> None:
    """1.3 points short is within the interval of one seed but not of six, and one bad seed is no policy."""
    short = [row("a", 1.0, seed=seed, targets=(target(0.887),)) for seed in range(6)]
    assert keeps_accuracy(short[:1])
    assert not keeps_accuracy(short)
    unlucky = [row("b", 1.0, seed=seed, targets=(target(0.87 if seed == 3 else 0.91),)) for seed in range(6)]
    assert not keeps_accuracy(unlucky[3:4])
    assert keeps_accuracy(unlucky)


def test_the_same_inputs_under_every_seed_are_no_new_evidence() -> None:
    few = (target(0.887, different=5),)
    assert keeps_accuracy([row("a", 1.0, seed=seed, targets=few) for seed in range(6)])


def test_who_answers_too_few_keeps_no_accuracy() -> None:
    assert not keeps_accuracy([row("a", 1.0, answered=9)])
    assert not keeps_accuracy([row("a", 1.0, targets=(target(0.91, requests=0, different=0),))])


def test_a_gain_comes_with_what_was_missed_for_it() -> None:
    late = msgspec.structs.replace(row("ours", 50.0, ours=True), missed_frac=0.9)
    (gain,) = gains([late, row("a", 100.0)], "ours")
    assert (gain.gain, gain.missed_frac) == (2.0, 0.9)
    assert figures([late, row("a", 100.0)], POINT, "ours")["missed_frac_ours"] == 0.9
