"""The mix of requests."""

from __future__ import annotations

import pytest

from testbed.units import MS
from testbed.workload.arrivals import Arrivals
from testbed.workload.mix import Need, Workload, draw_requests, fingerprint

TASK = "image-classification/fashion-mnist"
INPUTS = {TASK: 2000}
NEEDS = (Need(min_accuracy=0.8, weight=3), Need(min_accuracy=0.9, deadline_ms=50, allow_degraded=False))
WORKLOAD = Workload(
    requests=4000, arrivals=Arrivals(rate_hz=100), needs=NEEDS, deadline_ms=200, allow_degraded=True
)


def test_same_seed_same_requests_other_seed_others() -> None:
    assert draw_requests(WORKLOAD, TASK, INPUTS, 5) == draw_requests(WORKLOAD, TASK, INPUTS, 5)
    assert fingerprint(draw_requests(WORKLOAD, TASK, INPUTS, 5)) != fingerprint(
        draw_requests(WORKLOAD, TASK, INPUTS, 6)
    )


def test_each_input_comes_once_per_pass() -> None:
    samples = [r.sample for r in draw_requests(WORKLOAD, TASK, INPUTS, 1)]
    assert sorted(samples[:2000]) == sorted(samples[2000:]) == list(range(2000))


def test_needs_follow_their_weights_and_override_the_defaults() -> None:
    requests = draw_requests(WORKLOAD, TASK, INPUTS, 1)
    strict = [r for r in requests if r.min_accuracy == 0.9]
    assert len(strict) / len(requests) == pytest.approx(0.25, abs=0.03)
    assert {(r.deadline or 0) - r.arrival for r in strict} == {50 * MS}
    assert not any(r.allow_degraded for r in strict)
    assert {(r.deadline or 0) - r.arrival for r in requests if r.min_accuracy == 0.8} == {200 * MS}


def test_changing_the_mix_leaves_arrivals_and_inputs_alone() -> None:
    other = Workload(requests=4000, arrivals=Arrivals(rate_hz=100))
    a, b = draw_requests(WORKLOAD, TASK, INPUTS, 9), draw_requests(other, TASK, INPUTS, 9)
    assert [(r.arrival, r.sample) for r in a] == [(r.arrival, r.sample) for r in b]


@pytest.mark.parametrize("needs", [(Need(weight=0),), (Need(weight=-1), Need(weight=2))])
def test_weights_that_make_no_distribution_are_refused(needs: tuple[Need, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        draw_requests(Workload(requests=1, arrivals=Arrivals(rate_hz=1), needs=needs), TASK, {TASK: 1}, 0)


def test_each_task_of_a_mix_goes_through_its_own_inputs() -> None:
    needs = (Need(weight=3), Need(task="other", weight=1))
    mixed = Workload(requests=400, arrivals=Arrivals(rate_hz=1), needs=needs)
    requests = draw_requests(mixed, TASK, {TASK: 1000, "other": 20}, 4)
    other = [r.sample for r in requests if r.task == "other"]
    assert 60 <= len(other) <= 140
    assert sorted(other[:20]) == list(range(20))
    mine = [r.sample for r in requests if r.task == TASK]
    assert len(set(mine)) == len(mine)


def test_a_task_without_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="one input"):
        draw_requests(Workload(requests=1, arrivals=Arrivals(rate_hz=1)), TASK, {}, 0)
