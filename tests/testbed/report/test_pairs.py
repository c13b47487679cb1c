"""Differences between policies over the same requests."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from testbed.report.columns import columns
from testbed.report.pairs import shared_places
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=400))


def rows_of(run):
    return {(r.first, r.second, r.metric): r for r in analyse(run).pairs}


def test_every_pair_of_policies_in_every_metric(run):
    assert len(rows_of(run)) == 9


def test_the_difference_is_that_of_the_means(run):
    a, b = (columns([t]) for t in run.trials[:2])
    found = rows_of(run)["edgesight", "edge-only", "mean_ms"].difference
    assert found.value == pytest.approx(a.response_ms.mean() - b.response_ms.mean())
    assert found.low < found.value < found.high
    assert found.n == 400


def test_only_accuracy_has_a_p_value(run):
    assert {m for (_, _, m), row in rows_of(run).items() if row.p_value is not None} == {"accuracy"}


def test_other_arrivals_do_not_pair(run):
    first, *rest = run.trials
    other = msgspec.structs.replace(
        first, start=msgspec.structs.replace(first.start, arrivals_sha256="0" * 64)
    )
    found = rows_of(msgspec.structs.replace(run, trials=(other, *rest)))
    assert "arrivals or inputs differ" in found["edgesight", "edge-only", "mean_ms"].difference.reason
    assert found["edge-only", "dc-only", "mean_ms"].difference.value is not None


def test_other_blocks_do_not_pair(run):
    first, *rest = run.trials
    other = msgspec.structs.replace(first, start=msgspec.structs.replace(first.start, block=1))
    found = rows_of(msgspec.structs.replace(run, trials=(other, *rest)))
    assert "different blocks" in found["edgesight", "edge-only", "p99_ms"].difference.reason


def test_only_requests_that_both_answered_are_compared(run):
    first, *rest = run.trials
    short = msgspec.structs.replace(first, records=first.records[:300])
    found = rows_of(msgspec.structs.replace(run, trials=(short, *rest)))
    assert found["edgesight", "edge-only", "mean_ms"].difference.n == 300


def test_a_withheld_p99_withholds_its_differences_and_no_other(run):
    first, *rest = run.trials
    slow = tuple(
        msgspec.structs.replace(
            r, steps=tuple(msgspec.structs.replace(s, asked_service=s.asked_service and 1) for s in r.steps)
        )
        for r in first.records
    )
    found = rows_of(
        msgspec.structs.replace(run, trials=(msgspec.structs.replace(first, records=slow), *rest))
    )
    assert found["edgesight", "edge-only", "p99_ms"].difference.reason == "the p99 of edgesight is withheld"
    assert found["edgesight", "edge-only", "mean_ms"].difference.value is not None
    assert found["edge-only", "dc-only", "p99_ms"].difference.value is not None


def test_shared_places_point_at_the_same_request(run):
    a, b = (columns([t]) for t in run.trials[:2])
    ia, ib = shared_places(a, b)
    assert np.array_equal(a.request[ia], b.request[ib])
    assert np.array_equal(a.block[ia], b.block[ib])
    nothing, _ = shared_places(a, columns([]))
    assert nothing.size == 0
    assert np.array_equal(a.sample[ia], b.sample[ib])
