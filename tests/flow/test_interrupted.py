"""Runs that are stopped in the middle: what was finished stays, the rest is told, and a resume completes it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from testbed.model.request import Outcome
from testbed.store.reader import Run, read_run
from tests.flow.conftest import shrink, start
from tests.processes import running

REQUESTS = 120
pytestmark = pytest.mark.timeout(150)


def wait_for_records(run: Path, trials: int, count: int, process: subprocess.Popen[str]) -> None:
    """Until the ``trials``-th trial has so many records; fails when the process ends before."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        journals = sorted(run.glob("trials/*/attempt-*.jsonl"), key=lambda file: file.stat().st_mtime)
        if len(journals) >= trials and journals[-1].read_text().count('"type":"request"') >= count:
            return
        time.sleep(0.05)
    pytest.fail("no such number of records within a minute")


def descendants(pid: int) -> list[int]:
    """Processes below one, found in /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while we looked
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def gone(pids: list[int]) -> bool:
    """None of them runs any more."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(map(running, pids)):
            return True
        time.sleep(0.1)
    return False


def stop(process: subprocess.Popen[str], how: signal.Signals) -> None:
    """Stop a run the hard or the polite way; nothing of it goes on."""
    children = descendants(process.pid)
    os.kill(process.pid, how)
    process.communicate(timeout=60)
    assert process.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL)
    assert gone(children), "virtual boards and agents must not outlive the run"


def test_a_run_killed_and_then_interrupted_keeps_what_was_finished_and_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    experiment = shrink(tmp_path / "hello", REQUESTS, policies='["edge-only", "edgesight"]')
    run = tmp_path / "run"
    process = start("run", experiment, "--out", run, cwd=tmp_path)
    wait_for_records(run, trials=2, count=30, process=process)
    stop(process, signal.SIGKILL)
    left = set(temporary.glob("testbed-*"))
    assert left, "keys and sockets of the virtual boards"
    killed = read_run(run)
    first, second = killed.trials
    assert first.counts
    assert len(first.records) == REQUESTS
    assert killed.footer is None
    assert second.unfinished == REQUESTS - len(second.records) > 0
    still_to_play(killed)
    before = (run / "trials" / first.start.trial / "attempt-1.jsonl").read_bytes()

    # Where the experiment stands is in the header, so the folder alone is enough.
    process = start("run", "--resume", run, cwd=tmp_path)
    wait_for_records(run, trials=3, count=30, process=process)
    assert not [folder for folder in left if folder.exists()]
    stop(process, signal.SIGINT)
    assert not list(temporary.glob("testbed-*"))
    interrupted = read_run(run)
    assert interrupted.footer is not None
    assert interrupted.footer.status == "interrupted"
    still_to_play(interrupted)

    process = start("run", "--resume", run, "--json", cwd=tmp_path)
    out, err = process.communicate(timeout=90)
    assert process.returncode in (0, 1), err
    assert out.startswith("{")
    resumed = read_run(run)
    assert resumed.complete
    assert [len(attempt.records) for attempt in resumed.trials] == [REQUESTS, REQUESTS]
    assert (run / "trials" / first.start.trial / "attempt-1.jsonl").read_bytes() == before, "not played again"
    assert {a.start.trial for a in resumed.superseded} == {second.start.trial}
    assert len(resumed.superseded) == 2


def still_to_play(run: Run) -> None:
    """The second trial is under way: its first answers are there, and it is to be played again."""
    _, second = run.trials
    assert not second.counts
    assert [planned.trial for planned in run.pending] == [second.start.trial]
    done = [r for r in second.records if r.outcome in (Outcome.COMPLETED, Outcome.DEGRADED)]
    assert len(done) >= 30
