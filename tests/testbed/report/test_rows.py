"""What a row says of itself."""

from __future__ import annotations

import pytest

from testbed.measure.stats import missing, wilson
from testbed.report.rows import TargetRow, no_energy


def row(target, accuracy):
    return TargetRow(
        target=target,
        requests=100,
        answered=100,
        accuracy=accuracy,
        offload_frac=0.0,
        p50_ms=1.0,
        p95_ms=2.0,
        deadline_miss_frac=0.0,
        energy=no_energy("no power meter"),
    )


@pytest.mark.parametrize(
    ("target", "right", "verdict"),
    [(0.9, 95, "reached"), (0.9, 88, "not decided"), (0.9, 60, "missed"), (None, 60, "no target")],
)
def test_missed_needs_the_whole_interval_below_and_reached_the_value_above(target, right, verdict):
    assert row(target, wilson(right, 100)).verdict == verdict


def test_no_answer_is_neither():
    assert row(0.9, missing("none")).verdict == "no answer"
