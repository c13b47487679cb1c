"""Records side by side."""

from __future__ import annotations

import msgspec
import numpy as np

from testbed.model.request import Outcome
from testbed.report.columns import analysed, columns
from testbed.store.reader import read_run
from testbed.units import MS, S
from tests.testbed.store.synthetic import write_run


def attempt_of(tmp_path):
    return read_run(write_run(tmp_path / "run", count=12, policies=("dc-only",))).trials[0]


def test_an_answer_within_its_deadline(tmp_path):
    data = columns([attempt_of(tmp_path)])
    assert data.size == 12
    assert data.answered.all()
    assert data.offloaded.all()
    assert not data.missed.any()
    assert set(data.board) == {"host"}
    assert (data.lateness_ms == 0.08).all()


def test_late_and_unanswered_miss_their_deadline_and_no_deadline_cannot_be_missed(tmp_path):
    attempt = attempt_of(tmp_path)
    late, rejected, free, *_ = analysed(attempt)
    changed = (
        msgspec.structs.replace(late, ended=late.request.arrival + 151 * MS),
        msgspec.structs.replace(rejected, outcome=Outcome.REJECTED, used=(), correct=None),
        msgspec.structs.replace(
            free, request=msgspec.structs.replace(free.request, deadline=None), ended=free.ended + 10 * S
        ),
    )
    data = columns([msgspec.structs.replace(attempt, records=changed)])
    assert data.missed.tolist() == [True, True, False]
    assert data.answered.tolist() == [True, False, True]
    assert data.board[1] == ""
    assert not data.offloaded[1]


def test_an_answer_without_known_truth_is_no_wrong_answer(tmp_path):
    attempt = attempt_of(tmp_path)
    first = msgspec.structs.replace(analysed(attempt)[0], correct=None)
    data = columns([msgspec.structs.replace(attempt, records=(first,))])
    assert data.answered.tolist() == [True]
    assert data.known.tolist() == [False]


def test_the_largest_loss_of_a_request_is_told(tmp_path):
    attempt = attempt_of(tmp_path)
    first, *rest = analysed(attempt)
    step = first.steps[0]
    failed = msgspec.structs.replace(step, lost_frac=0.5, error="lost: too much")
    hurt = msgspec.structs.replace(first, steps=(failed, msgspec.structs.replace(step, lost_frac=0.1)))
    data = columns([msgspec.structs.replace(attempt, records=(hurt, *rest))])
    assert data.lost_frac.tolist() == [0.5] + [0.0] * 11


def test_rows_follow_the_arrivals_whatever_order_they_were_written_in(tmp_path):
    attempt = attempt_of(tmp_path)
    turned = msgspec.structs.replace(attempt, records=attempt.records[::-1])
    assert np.array_equal(columns([turned]).request, columns([attempt]).request)
    assert np.array_equal(columns([turned]).response_ms, columns([attempt]).response_ms)


def test_no_records_give_empty_columns(tmp_path):
    empty = msgspec.structs.replace(attempt_of(tmp_path), records=())
    assert columns([empty]).size == 0
    assert columns([]).size == 0
