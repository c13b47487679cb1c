"""Pace error by board, and what it forbids."""

from __future__ import annotations

import msgspec
import pytest

from testbed.measure.pace import pace_errors, why_withhold
from testbed.model.execution import Step
from testbed.units import MS, US


def step(i, actual, asked, *, board="v", batch=1, item=0):
    return Step(
        id=(i, item),
        board=board,
        model="m",
        decided=0,
        answered=0,
        started=1_000,
        finished=1_000 + actual,
        asked_service=asked,
        batch=batch,
    )


def test_error_is_actual_less_asked():
    found = pace_errors([step(i, 4 * MS + 50 * US, 4 * MS) for i in range(20)])["v"]
    assert found.n == 20
    assert found.p50_ms == pytest.approx(0.05)
    assert found.bias_ms == pytest.approx(0.05)
    assert found.service_p50_ms == pytest.approx(4)
    assert found.acceptable


def test_too_early_is_an_error_too():
    assert pace_errors([step(1, 3 * MS, 4 * MS)])["v"].p99_ms == pytest.approx(1)


def test_a_batch_counts_once_and_real_boards_not_at_all():
    batch = [step(1, MS, MS, batch=3, item=i) for i in range(3)]
    found = pace_errors([*batch, step(2, MS, None, board="real")])
    assert found["v"].n == 1
    assert "real" not in found


def test_the_same_action_number_in_another_trial_is_another_execution():
    again = msgspec.structs.replace(step(1, MS, MS, batch=3), started=5, finished=9)
    assert pace_errors([step(1, MS, MS, batch=3), again])["v"].n == 2


def test_p99_is_withheld_only_for_the_boards_that_answer():
    steps = [step(i, 5 * MS, 4 * MS) for i in range(10)]
    steps += [step(99 + i, 4 * MS, 4 * MS, board="good") for i in range(10)]
    paces = pace_errors(steps)
    why = why_withhold(["v", "good"], paces)
    assert why.startswith("v: pace error p99 1 ms is 25%")
    assert why_withhold(["good", "real"], paces) == ""


@pytest.mark.parametrize(("error", "shown"), [(200 * US, True), (201 * US, False)])
def test_the_limit_is_five_per_cent_of_the_median(error, shown):
    assert pace_errors([step(1, 4 * MS + error, 4 * MS)])["v"].acceptable is shown
