import msgspec
import pytest

from testbed.model.execution import Step
from testbed.model.record import RequestRecord
from testbed.model.request import Outcome, Request
from testbed.report.cancels import Cancels
from testbed.report.layout import cancels as table
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.units import MS
from tests.testbed.store.synthetic import write_run


def step(number, board="host", cancelled=None, ms=None, batch=1):
    ran = {} if ms is None else {"received": 0, "started": 0, "finished": ms * MS}
    return Step((number, 0), board, "m", decided=0, answered=1, cancelled=cancelled, batch=batch, **ran)


def record(*steps):
    request = Request(id=1, task="t", sample=0, arrival=0)
    return RequestRecord(request=request, outcome=Outcome.COMPLETED, seen=0, ended=1, steps=steps)


def test_every_cancelled_step_is_counted_once_at_its_stage_and_board() -> None:
    seen = Cancels()
    seen.add([
        record(step(1, "edge", ms=2), step(2, cancelled="before_start")),
        record(step(3, cancelled="before_start"), step(4, "edge", cancelled="before_sent")),
        record(step(5, cancelled="during"), step(6, ms=3)),
        record(step(7, cancelled="too_late", ms=1), step(8, "edge", ms=2)),
    ])  # fmt: skip
    edge, host = seen.rows("p")
    assert (edge.board, sum(edge.stages.values()), edge.stages["before_sent"]) == ("edge", 1, 1)
    assert host.stages == {"before_sent": 0, "before_start": 2, "during": 1, "too_late": 1}
    assert host.vain_s == pytest.approx(0.001)
    assert host.vain_frac == pytest.approx(0.25)
    assert edge.vain_frac == 0.0


def test_an_item_has_its_part_of_the_time_of_a_batch() -> None:
    seen = Cancels()
    seen.add([record(step(1, cancelled="too_late", ms=8, batch=4)), record(step(2, ms=8, batch=4))])
    [row] = seen.rows("p")
    assert row.vain_s == pytest.approx(0.002)
    assert row.vain_frac == pytest.approx(0.5)


def test_a_board_that_ran_nothing_wasted_no_share() -> None:
    seen = Cancels()
    seen.add([record(step(1, cancelled="before_sent"))])
    assert seen.rows("p")[0].vain_frac is None


def test_the_report_shows_them_only_where_something_was_cancelled(tmp_path) -> None:
    found = analyse(read_run(write_run(tmp_path / "run", count=20)))
    assert found.cancels == ()
    assert not table(found).body
    seen = Cancels()
    seen.add([record(step(1, cancelled="too_late", ms=1))])
    [row] = table(msgspec.structs.replace(found, cancels=seen.rows("p"))).body
    assert row[:6] == ("p", "host", "0", "0", "0", "1")
