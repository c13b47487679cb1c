import pytest

from testbed.campaign.grid.cells import Cell
from testbed.campaign.grid.tally import Tally
from testbed.model.execution import Step
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.units import MS


def record(i, ms, *, target=0.9, right=True, outcome=Outcome.COMPLETED, board="edge", sample=None):
    request = Request(
        id=i,
        task="t",
        sample=i if sample is None else sample,
        arrival=1000,
        min_accuracy=target,
        deadline=1000 + 100 * MS,
    )
    step = Step(id=(i, 0), board=board, model="m", decided=0, answered=0, label=1, confidence=0.5)
    return RequestRecord(
        request=request,
        outcome=outcome,
        seen=1000,
        ended=1000 + ms * MS,
        label=1,
        correct=right,
        steps=(step,),
        used=((i, 0),),
    )


def tally(records, sent_bytes=0):
    found = Tally({"dc"})
    found.sent_bytes = sent_bytes
    for one in records:
        found.write(one)
    return found.row(
        cell=Cell(rtt_ms=1, load=1, levels=1),
        policy="p",
        ours=False,
        seed=1,
        drawn_from=2000,
        dc_busy_frac=0.0,
        loads=0,
        cancelled={},
    )


def test_times_accuracy_offload_and_misses_are_counted() -> None:
    row = tally([record(i, i + 1, right=i % 10 != 0, board="dc" if i < 20 else "edge") for i in range(200)])
    assert (row.p50_ms, row.p99_ms) == (100, 198)
    assert row.p99_ci is None  # of 200 no interval can be had
    assert row.accuracy == pytest.approx(0.9)
    assert row.offload_frac == pytest.approx(0.1)
    assert row.missed_frac == pytest.approx(0.5)
    assert row.meets


def test_a_tail_of_enough_has_an_interval() -> None:
    row = tally([record(i, i % 100) for i in range(1000)])
    assert row.p99_ci[0] <= row.p99_ms <= row.p99_ci[1]
    assert row.p50_ci[0] <= row.p50_ms <= row.p50_ci[1]


def test_what_was_sent_is_told_per_request() -> None:
    assert tally([record(i, 1) for i in range(4)], sent_bytes=1000).uplink_bytes == 250


def test_what_gets_no_answer_is_late_for_ever() -> None:
    lost = [record(i, 1, outcome=Outcome.EXPIRED) for i in range(3)]
    row = tally([*lost, *(record(10 + i, 5) for i in range(97))])
    assert row.p50_ms == 5
    assert row.p99_ms is None
    assert row.p99_ci is None
    assert not row.meets
    assert row.accuracy == 1.0


def test_a_target_is_missed_when_its_whole_interval_lies_below() -> None:
    row = tally([record(i, 1, target=0.9, right=i % 5 != 0) for i in range(1000)])
    assert not row.meets
    (target,) = row.targets
    assert (target.right, target.reached) == (800, False)
    assert (target.answered, target.different) == (1000, 1000)


def test_the_same_input_again_is_no_new_evidence() -> None:
    again = [record(i, 1, target=0.9, right=i % 5 != 0, sample=i % 5) for i in range(1000)]
    assert tally(again).meets  # five different inputs say nothing against 90 %
