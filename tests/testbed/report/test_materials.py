"""What tables are made of, and that making it goes through a journal once."""

from __future__ import annotations

import msgspec
import numpy as np

from testbed.report.materials import materials
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.store.records import Records
from testbed.store.schema import WARMUP, Window
from tests.testbed.store.synthetic import write_run


def test_a_run_in_virtual_time_is_gone_through_once_whatever_is_told_of_it(tmp_path, monkeypatch):
    run = read_run(write_run(tmp_path / "run", count=50))
    modelled = tuple(
        msgspec.structs.replace(
            attempt,
            boards=tuple(msgspec.structs.replace(facts, origin="modelled") for facts in attempt.boards),
        )
        for attempt in run.trials
    )
    passes = []
    inner = Records.__iter__
    monkeypatch.setattr(Records, "__iter__", lambda self: passes.append(self._path) or inner(self))
    analyse(msgspec.structs.replace(run, trials=modelled))
    assert len(passes) == len(set(passes)) == len(run.trials)


def test_boards_that_worked_and_their_own_stamps_count_warm_up_too(tmp_path):
    run = read_run(write_run(tmp_path / "run", count=50))
    [cold, *_] = materials(run)
    everything = Window(name=WARMUP, start=0, end=1 << 62)
    warm = tuple(msgspec.structs.replace(a, windows=(*a.windows, everything)) for a in run.trials)
    [warmed, *_] = materials(msgspec.structs.replace(run, trials=warm))
    assert warmed.columns.size == warmed.steps.board.size == 0
    assert cold.columns.size == 50
    assert warmed.worked == cold.worked
    assert all(cold.worked)
    for before, after in zip(cold.stamps, warmed.stamps, strict=True):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[key], after[key]) for key in before)
    records = run.trials[0].records
    told = {(s.board, s.boot) for r in records for s in r.steps if s.finished is not None}
    assert cold.stamps[0].keys() == told
