"""Steps as columns against the timelines they come from."""

from __future__ import annotations

from collections import Counter

from testbed.measure.clocksync import fit_clocks
from testbed.measure.timeline import timelines
from testbed.report import steps as steps_module
from testbed.report.columns import in_analysis
from testbed.report.steps import NOT_KNOWN, StepRows, chunks
from testbed.store.reader import read_run
from tests.testbed.store.synthetic import write_run


def test_every_step_of_every_record_has_its_row(tmp_path, monkeypatch):
    run = read_run(write_run(tmp_path / "run", count=60))
    attempt = run.trials[0]
    boards = {facts.id: facts for facts in attempt.boards}
    clocks = fit_clocks(attempt.probes)
    monkeypatch.setattr(steps_module, "CHUNK", 7)  # rows must not depend on how many are looked at together
    rows = StepRows(boards, frozenset())
    for records in chunks(in_analysis(attempt)):
        assert len(records) <= 7
        rows.add(records, clocks)
    found = rows.steps()
    lines = timelines(list(in_analysis(attempt)), clocks, boards)
    assert [found.boards[i] for i in found.board] == [line.board for line in lines]
    for name in ("arrival", "started", "finished", "answered", "transfer"):
        expected = [NOT_KNOWN if (value := getattr(line, name)) is None else value for line in lines]
        assert getattr(found, name).tolist() == expected, name
    assert found.executed.tolist() == [line.service is not None for line in lines]
    assert found.failed == Counter(s.board for r in attempt.records for s in r.steps if s.error is not None)
    assert {b: o for b, o in found.origins.items() if not o} == {}


def test_no_records_give_no_steps():
    found = StepRows({}, frozenset()).steps()
    assert found.board.size == found.executed.size == 0
