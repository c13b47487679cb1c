"""Figures of a policy, and when they are withheld."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from testbed.model.environment import HostUse
from testbed.model.record import TrialStatus
from testbed.model.request import Outcome
from testbed.report.policies import accuracy_of, contended_boards
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.store.writer import RunWriter
from testbed.units import US
from tests.testbed.store.synthetic import HOST_BOOT, facts, header, record_of, requests_of, start, write_run


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    run = read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=400))
    return {row.policy: row for row in analyse(run).policies}


def pacing(folder, policy, pace_error, count=400):
    """A run whose virtual boards keep a pace badly."""
    with RunWriter.create(folder, header((policy,), requests=count)) as run:
        rng = np.random.default_rng(2)
        with run.begin(start(policy, f"00-{policy}", requests=count)) as trial:
            for request in requests_of(count):
                trial.write(record_of(request, policy, rng, pace_error=pace_error))
            trial.end(TrialStatus.OK)
    return analyse(read_run(folder)).policies[0]


def test_p99_has_an_interval_and_sits_in_it(rows):
    p99 = rows["dc-only"].p99_ms
    assert p99.low <= p99.value <= p99.high
    assert p99.reason == ""


def test_p99_is_withheld_where_the_pace_was_bad(tmp_path):
    row = pacing(tmp_path / "run", "edgesight", 200 * US)
    assert row.p99_ms.value is None
    assert "jetson: pace error" in row.p99_ms.reason
    assert row.p95_ms is not None


def test_p99_stays_where_no_virtual_board_answers(tmp_path):
    assert pacing(tmp_path / "run", "dc-only", 2_000 * US).p99_ms.value is not None


def test_p99_without_interval_where_requests_are_few(tmp_path):
    p99 = pacing(tmp_path / "run", "dc-only", 20 * US, count=100).p99_ms
    assert p99.value is not None
    assert p99.interval is None
    assert "368" in p99.reason


def test_targets_add_up_to_the_policy(rows):
    for row in rows.values():
        assert sum(t.requests for t in row.targets) == row.requests
        assert sum(t.answered for t in row.targets) == row.answered
        assert [t.target for t in row.targets] == [0.78, 0.85, 0.88, 0.91]


def test_the_whole_is_as_weak_as_its_weakest_part(rows):
    assert {row.response_origin for row in rows.values()} == {"emulated"}


def test_an_input_asked_twice_counts_once_for_the_interval():
    right = np.asarray([True] * 90 + [False] * 10)
    distinct = accuracy_of(right, np.arange(100))
    repeated = accuracy_of(np.tile(right, 10), np.tile(np.arange(100), 10))
    assert repeated.interval == pytest.approx(distinct.interval)
    assert accuracy_of(right[:0], np.arange(0)).reason


def test_only_measured_boards_on_this_very_host_are_contended(tmp_path):
    attempt = read_run(write_run(tmp_path / "run", count=4)).trials[0]
    busy = HostUse(boot_id=HOST_BOOT, start=0, end=1, cores=2, wait_frac=0.5)
    elsewhere = HostUse(boot_id="another", start=0, end=1, cores=2, wait_frac=0.5)
    replace = msgspec.structs.replace
    assert set(contended_boards([replace(attempt, host=(busy,))])) == {"host"}
    assert contended_boards([replace(attempt, host=(elsewhere,))]) == {}
    assert contended_boards([attempt]) == {}
    assert facts("host").boot_id == HOST_BOOT


def test_without_answers_nothing_is_claimed(tmp_path):
    run = read_run(write_run(tmp_path / "run", count=4, policies=("dc-only",)))
    refused = tuple(
        msgspec.structs.replace(r, outcome=Outcome.REJECTED, used=(), steps=(), label=None, correct=None)
        for r in run.trials[0].records
    )
    trial = msgspec.structs.replace(run.trials[0], records=refused)
    (row,) = analyse(msgspec.structs.replace(run, trials=(trial,))).policies
    assert row.response_origin == ""
    assert row.accuracy.value is None
    assert row.offload_frac is None
    assert row.p99_ms.value is None
    assert row.deadline_miss_frac == 1.0
    assert [t.verdict for t in row.targets] == ["no answer"] * 4
