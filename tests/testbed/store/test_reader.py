"""A run folder in any state is read as far as it goes, and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import StoreError
from testbed.model.event import Tick
from testbed.model.record import TrialStatus
from testbed.report.json import to_json
from testbed.report.tables import analyse
from testbed.store.event_log import EventLog
from testbed.store.reader import Damage, read_attempt, read_events, read_journal, read_run
from testbed.store.schema import LOAD
from testbed.store.writer import RunWriter
from tests.testbed.store.synthetic import header, start, write_run, write_trial

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "run-schema1"
JOURNAL = "trials/00-edgesight/attempt-1.jsonl"


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path / "run", count=20)


def test_schema_1_loads_for_ever():
    run = read_run(GOLDEN)
    assert run.complete
    assert run.damage == ()
    assert run.header.policies == ("edgesight", "dc-only")
    assert [len(a.records) for a in run.trials] == [40, 40]
    assert run.trials[0].window(LOAD) is not None
    assert run.trials[0].records[0].steps[0].board == "jetson"
    assert {facts.id for facts in run.trials[0].boards} == {"jetson", "mcu", "host"}
    assert [type(e).__name__ for e in read_events(run.trials[0].events_file)] == ["Tick", "Tick"]
    document = to_json(analyse(run))
    assert document["policies"]["edgesight"]["outcomes"] == {"completed": 40}
    assert document["policies"]["dc-only"]["targets"][0]["offload_frac"] == 1.0
    assert document["figures"]["answer"] == 42.0


def test_trials_come_in_planned_order(folder):
    assert [a.start.policy for a in read_run(folder).trials] == ["edgesight", "edge-only", "dc-only"]


def test_a_torn_last_line_is_reported_and_the_rest_is_there(folder):
    path = folder / JOURNAL
    data = path.read_bytes()
    path.write_bytes(data[: data.rstrip(b"\n").rindex(b"\n") + 10])
    run = read_run(folder)
    assert len(run.trials[0].records) == 20
    assert run.trials[0].status == "unfinished"
    torn, changed = run.damage
    assert "torn last line" in torn.reason
    assert torn.line == len(path.read_bytes().splitlines())
    assert "hash" in changed.reason


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1))
def test_cut_anywhere_the_whole_lines_before_are_read(folder, share):
    data = (folder / JOURNAL).read_bytes()
    cut = round(share * len(data))
    path = folder / "cut.jsonl"
    path.write_bytes(data[:cut])
    entries = list(read_journal(path))
    assert sum(not isinstance(e, Damage) for e in entries) == data[:cut].count(b"\n")
    assert sum(isinstance(e, Damage) for e in entries) == (cut > 0 and not data[:cut].endswith(b"\n"))


def test_a_damaged_line_in_the_middle_is_reported_with_its_number(folder):
    path = folder / JOURNAL
    lines = path.read_bytes().split(b"\n")
    victim = next(i for i, line in enumerate(lines) if b'"type":"request"' in line)
    lines[victim] = b"\xff\x00 garbage" + lines[victim][20:]
    path.write_bytes(b"\n".join(lines))
    run = read_run(folder)
    assert len(run.trials[0].records) == 19
    assert run.trials[0].unfinished == 1
    assert run.damage[0] == Damage(file=JOURNAL, line=victim + 1, reason=run.damage[0].reason)
    assert "damaged line" in run.damage[0].reason


def test_a_missing_journal_is_noticed(folder):
    (folder / JOURNAL).unlink()
    run = read_run(folder)
    assert "missing" in run.damage[0].reason
    assert [p.trial for p in run.pending] == ["00-edgesight"]


def test_a_journal_without_its_first_line_belongs_to_nobody(folder):
    path = folder / JOURNAL
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    assert read_attempt(path) is None
    assert any("start" in d.reason for d in read_run(folder).damage)


def test_a_second_record_of_a_request_is_damage_not_a_second_outcome(folder):
    path = folder / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    record = next(line for line in lines if b'"type":"request"' in line)
    path.write_bytes(b"".join([*lines[:-1], record, lines[-1]]))
    run = read_run(folder)
    assert len(run.trials[0].records) == 20
    assert any("second record of request" in d.reason for d in run.damage)


def begin(folder, *ends):
    """One trial, tried several times; ``None`` leaves it unfinished."""
    with RunWriter.create(folder, header(("edgesight",))) as run:
        for status in ends:
            with run.begin(start("edgesight", "00-edgesight", requests=5)) as trial:
                write_trial(trial, "edgesight", 5, upto=3)
                if status is not None:
                    trial.end(status)
    return read_run(folder)


@pytest.mark.parametrize(
    ("ends", "attempt", "pending"),
    [
        ((TrialStatus.OK, TrialStatus.OK), 2, 0),
        ((TrialStatus.OK, TrialStatus.ABORTED), 1, 0),
        ((TrialStatus.LIMIT_MISSED, None), 1, 0),
        ((TrialStatus.BOARD_ERROR, None), 1, 1),
        ((None, None), 2, 1),
    ],
)
def test_the_last_attempt_that_counts_wins(tmp_path, ends, attempt, pending):
    run = begin(tmp_path / "run", *ends)
    assert run.trials[0].start.attempt == attempt
    assert len(run.pending) == pending
    assert len(run.superseded) == 1


def test_requests_without_a_record_are_unfinished(tmp_path):
    run = begin(tmp_path / "run", None)
    assert run.trials[0].unfinished == 2
    assert to_json(analyse(run))["policies"]["edgesight"]["outcomes"] == {"completed": 3, "unfinished": 2}


def test_no_run_is_a_clear_error(tmp_path):
    with pytest.raises(StoreError, match=r"no header\.json"):
        read_run(tmp_path)
    with pytest.raises(StoreError, match="cannot be read"):
        list(read_journal(tmp_path / "none"))
    with pytest.raises(StoreError, match="cannot be read"):
        list(read_events(tmp_path / "none"))


def test_a_torn_event_log_ends_quietly_a_damaged_one_does_not(tmp_path):
    log = EventLog(tmp_path / "a.events")
    for t in range(3):
        log.write(Tick(t=t))
    log.close()
    data = log.path.read_bytes()
    log.path.write_bytes(data[:-2])
    assert [e.t for e in read_events(log.path)] == [0, 1]
    log.path.write_bytes(data[:4] + b"\xc1" + data[5:])
    with pytest.raises(StoreError, match="event 1"):
        list(read_events(log.path))
