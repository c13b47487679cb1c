"""The mix of requests."""

from __future__ import annotations

import pytest

from testbed.units import MS
from testbed.workload.arrivals import Arrivals
from testbed.workload.mix import Need, Workload, draw_requests, fingerprint

TASK = "image-classification/fashion-mnist"
NEEDS = (Need(min_accuracy=0.8, weight=3), Need(min_accuracy=0.9, deadline_ms=50, allow_degraded=False))
WORKLOAD = Workload(
    requests=4000, arrivals=Arrivals(rate_hz=100), needs=NEEDS, deadline_ms=200, allow_degraded=True
)


def test_same_seed_same_requests_other_seed_others() -> None:
    assert draw_requests(WORKLOAD, TASK, 2000, 5) == draw_requests(WORKLOAD, TASK, 2000, 5)
    assert fingerprint(draw_requests(WORKLOAD, TASK, 2000, 5)) != fingerprint(
        draw_requests(WORKLOAD, TASK, 2000, 6)
    )


def test_each_input_comes_once_per_pass() -> None:
    samples = [r.sample for r in draw_requests(WORKLOAD, TASK, 2000, 1)]
    assert sorted(samples[:2000]) == sorted(samples[2000:]) == list(range(2000))


def test_needs_follow_their_weights_and_override_the_defaults() -> None:
    requests = draw_requests(WORKLOAD, TASK, 2000, 1)
    strict = [r for r in requests if r.min_accuracy == 0.9]
    assert len(strict) / len(requests) == pytest.approx(0.25, abs=0.03)
    assert {(r.deadline or 0) - r.arrival for r in strict} == {50 * MS}
    assert not any(r.allow_degraded for r in strict)
    assert {(r.deadline or 0) - r.arrival for r in requests if r.min_accuracy == 0.8} == {200 * MS}


def test_changing_the_mix_leaves_arrivals_and_inputs_alone() -> None:
    other = Workload(requests=4000, arrivals=Arrivals(rate_hz=100))
    a, b = draw_requests(WORKLOAD, TASK, 2000, 9), draw_requests(other, TASK, 2000, 9)
    assert [(r.arrival, r.sample) for r in a] == [(r.arrival, r.sample) for r in b]


@pytest.mark.parametrize("needs", [(Need(weight=0),), (Need(weight=-1), Need(weight=2))])
def test_weights_that_make_no_distribution_are_refused(needs: tuple[Need, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        draw_requests(Workload(requests=1, arrivals=Arrivals(rate_hz=1), needs=needs), TASK, 1, 0)
