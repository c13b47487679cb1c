from __future__ import annotations

import msgspec

from testbed.model.execution import Step
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request

REQUEST = Request(id=1, task="t", sample=5, arrival=1_000, deadline=5_000, min_accuracy=0.9)


def record(ended: int, request: Request = REQUEST) -> RequestRecord:
    step = Step(id=(3, 0), board="b", model="m", decided=1_100, answered=ended)
    return RequestRecord(
        request=request,
        outcome=Outcome.COMPLETED,
        seen=1_050,
        ended=ended,
        label=2,
        correct=True,
        steps=(step,),
    )


def test_response_counts_from_the_intended_arrival_not_from_when_it_was_seen():
    assert record(4_000).response == 3_000


def test_late_is_after_the_deadline_and_never_without_one():
    assert not record(5_000).late
    assert record(5_001).late
    assert not record(10**12, Request(id=1, task="t", sample=5, arrival=0)).late


def test_a_record_survives_the_journal():
    line = msgspec.json.encode(record(4_000))
    assert msgspec.json.decode(line, type=RequestRecord) == record(4_000)
    assert b'"type":"request"' in line
