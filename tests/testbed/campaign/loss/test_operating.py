import msgspec
import numpy as np
import pytest

from testbed.campaign.loss.operating import CHOSEN, KEEP, LIMIT, operating_figures, operating_rows
from tests.testbed.campaign.loss.test_thresholds import BACKEND, BUCKETS, HURT, LABELS, STUDY, case

# A target far below what the frontend reaches by itself: slack that thresholds may spend.
SLACK = msgspec.structs.replace(
    STUDY, targets=(0.55,), limits=(0.0, 0.5), keeps=(0.0, 5.0, 20.0), goal_pt=2.0, splits=6
)


def rows(study=SLACK, share=0.4):
    found = operating_rows(study, LABELS, BACKEND, {"edge": BUCKETS}, {"edge": [case(HURT, share)]})
    return {(row.rule, row.value if row.rule != CHOSEN else None): row for row in found}


def test_a_target_alone_lets_the_slack_be_spent_and_keep_does_not() -> None:
    found = rows()
    spent, kept = found[LIMIT, 0.5], found[KEEP, 0.0]
    assert spent.drop_pt > 10
    assert abs(kept.drop_pt) < 3
    assert kept.offload_frac > spent.offload_frac
    assert found[KEEP, 0.0].offload_frac >= found[KEEP, 5.0].offload_frac >= found[KEEP, 20.0].offload_frac
    assert kept.whole_offload_frac == spent.whole_offload_frac


def test_above_the_limit_the_backend_answers() -> None:
    assert rows()[LIMIT, 0.0].offload_frac == 1.0


def test_the_choice_is_the_loosest_within_the_goal_on_the_calibration_half() -> None:
    found = rows()
    assert found[CHOSEN, None].known_drop_pt <= SLACK.goal_pt
    assert 0 <= found[CHOSEN, None].value <= 5
    loose = rows(msgspec.structs.replace(SLACK, goal_pt=99.0))
    assert loose[CHOSEN, None].value == 20.0
    assert loose[CHOSEN, None].drop_pt == loose[KEEP, 20.0].drop_pt


def test_the_strictest_stands_where_none_is_within_the_goal() -> None:
    found = rows(msgspec.structs.replace(SLACK, keeps=(10.0, 20.0), goal_pt=0.0))
    assert found[CHOSEN, None].value == 10.0


def test_without_rules_there_are_no_rows() -> None:
    assert rows(msgspec.structs.replace(SLACK, limits=(), keeps=())) == {}
    assert operating_figures([]) == {}


def test_figures_are_of_the_choice() -> None:
    found = rows()
    figures = operating_figures(list(found.values()))
    assert figures["lossy_accuracy_drop_kept_pt"] == pytest.approx(found[CHOSEN, None].drop_pt)
    assert figures["lossy_offload_kept_frac"] == pytest.approx(found[CHOSEN, None].offload_frac)


def test_what_was_never_promised_has_no_figures() -> None:
    found = rows(msgspec.structs.replace(SLACK, targets=(0.999,)))
    assert {row.promised for row in found.values()} == {0}
    assert operating_figures(list(found.values())) == {}


def test_losses_other_than_the_headlines_have_no_rows() -> None:
    other = msgspec.structs.replace(case(HURT, 0.4), loss=0.2)
    assert operating_rows(SLACK, LABELS, BACKEND, {"edge": BUCKETS}, {"edge": [other]}) == []
    assert np.isfinite(rows()[CHOSEN, None].value)
