import msgspec
import pytest

from testbed.errors import ConfigError
from testbed.policy.metrics import Metric
from testbed.policy.thresholds import PlanKind, Threshold, ThresholdTable, merge

SCORES = (0.6, 0.3, 0.1)


def row(**more):
    fields = {
        "task": "images",
        "frontend": "small",
        "backend": "large",
        "target": 0.9,
        "plan": PlanKind.CASCADE,
        "tau": 0.5,
        "exits": (),
        "exit_frac": (1.0,),
        "p_off": 0.2,
        "acc_hat": 0.92,
        "lcb": 0.91,
        "margin": True,
        "backend_accuracy": 0.95,
        "n": 2000,
        "z": 1.645,
    }
    return Threshold(**{**fields, **more})


@pytest.mark.parametrize(("tau", "stands"), [(0.6, True), (0.61, False), (0.0, True), (None, False)])
def test_max_softmax_needs_no_scores(tau, stands) -> None:
    assert row(tau=tau).stands(0.6, None) is stands


def test_other_metrics_read_the_scores_and_do_without_only_when_everything_stands() -> None:
    assert row(metric=Metric.MARGIN, tau=0.29).stands(0.6, SCORES)
    assert not row(metric=Metric.MARGIN, tau=0.31).stands(0.6, SCORES)
    assert not row(metric=Metric.MARGIN, tau=0.29).stands(0.6, None)
    assert row(metric=Metric.ENTROPY, tau=0.0).stands(0.6, None)


def test_a_temperature_moves_the_confidence() -> None:
    assert row(tau=0.6).stands(0.6, SCORES)
    assert not row(tau=0.6, temperature=2.0).stands(0.6, SCORES)


def test_the_smallest_bucket_that_covers_the_loss_is_found() -> None:
    table = merge(*(ThresholdTable(rows=(row(lost_frac=lost, tau=0.5 + lost),)) for lost in (0.0, 0.05, 0.2)))
    found = [[r.tau for r in table.find("images", 0.9, lost)] for lost in (0.0, 0.01, 0.05, 0.1, 0.3)]
    assert found == [[0.5], [0.55], [0.55], [0.7], []]


def test_a_target_in_between_is_rounded_up_and_one_above_all_finds_nothing() -> None:
    table = ThresholdTable(rows=(row(target=0.8), row(target=0.9)))
    assert [r.target for r in table.find("images", 0.85)] == [0.9]
    assert table.find("images", 0.95) == ()
    assert table.find("sounds", 0.8) == ()


def test_best_on_offer_is_without_loss() -> None:
    assert ThresholdTable(rows=(row(lcb=0.8), row(lcb=0.99, lost_frac=0.1))).best("images") == 0.8


def test_tables_are_plain_data() -> None:
    table = ThresholdTable(rows=(row(metric=Metric.MARGIN, agreement=0.97),))
    assert msgspec.json.decode(msgspec.json.encode(table), type=ThresholdTable) == table


def test_a_table_of_some_frontends_names_the_one_that_was_not_calibrated() -> None:
    table = ThresholdTable(rows=(row(), row(frontend="tiny"), row(target=0.8)))
    assert [(r.frontend, r.target) for r in table.only(("small",)).rows] == [("small", 0.9), ("small", 0.8)]
    with pytest.raises(ConfigError, match="'smal'.*"):
        table.only(("tiny", "smal"))
