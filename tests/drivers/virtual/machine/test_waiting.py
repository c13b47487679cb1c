"""Waits against a clock that only moves when it is read or slept on; how late real ones end is no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from drivers.virtual.machine import waiting
from tests.processes import running

MS = 1_000_000


class Clock:
    """Reading it takes 1 µs; a sleep lasts ``share`` of what was asked, and ``late`` longer."""

    def __init__(self) -> None:
        self.now = 0
        self.late = 0
        self.share = 1.0
        self.sleeps: list[tuple[int, int]] = []  # when, for how long [ns]

    def monotonic_ns(self) -> int:
        self.now += 1_000
        return self.now

    def sleep(self, seconds: float) -> None:
        asked = round(seconds * 1e9)
        self.sleeps.append((self.now, asked))
        self.now += round(self.share * asked) + (self.late if asked else 2_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


def test_it_sleeps_until_the_spin_and_wakes_that_come_late_by_less_cost_nothing(clock: Clock) -> None:
    clock.late = 290_000
    assert waiting.wait_until(10 * MS, 300_000) - 10 * MS in range(2_000)
    assert clock.sleeps[0][0] + clock.sleeps[0][1] == 10 * MS - 300_000


def test_other_threads_are_let_in_while_spinning_but_not_in_the_last_stretch(clock: Clock) -> None:
    waiting.wait_until(10 * MS, 300_000)
    let_in = [at for at, asked in clock.sleeps if asked == 0]
    assert len(let_in) > 10
    assert min(let_in) >= 10 * MS - 300_000
    assert max(let_in) < 10 * MS - 150_000


def test_it_never_returns_early_even_if_a_sleep_does(clock: Clock) -> None:
    clock.share = 0.5
    assert waiting.wait_until(10 * MS, 0) >= 10 * MS
    assert len([asked for _, asked in clock.sleeps if asked]) > 1


def test_a_deadline_in_the_past_returns_at_once(clock: Clock) -> None:
    clock.now = 50 * MS
    assert waiting.wait_until(10 * MS, 300_000) == 50 * MS + 1_000
    assert clock.sleeps == []


def test_against_the_real_clock() -> None:
    deadline = time.monotonic_ns() + 2 * MS
    assert deadline <= waiting.wait_until(deadline, 300_000) <= time.monotonic_ns()


PRIORITY = """
import json, os, subprocess, sys, threading
from drivers.virtual.machine.waiting import take_priority

mine = lambda: os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
seen = {"taken": take_priority(), "first": mine()}

def work():
    seen["thread"] = mine()
    asked = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
    seen["child"] = int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)

for _ in range(2):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(json.dumps({**seen, "rr": os.SCHED_RR, "other": os.SCHED_OTHER}))
"""


def test_threads_go_first_too_and_what_they_start_does_not() -> None:
    done = subprocess.run([sys.executable, "-c", PRIORITY], capture_output=True, text=True, timeout=60)
    seen = json.loads(done.stdout)
    assert seen["child"] == seen["other"], done.stderr
    if not seen["taken"]:
        pytest.skip("real-time scheduling needs the right to it")
    assert seen["first"] == seen["thread"] == seen["rr"]


CHILD = """
import subprocess
from drivers.virtual.machine.waiting import die_with_parent
die_with_parent(with_children=True)
other = subprocess.Popen(["sleep", "60"])
print(other.pid, flush=True)
other.wait()
"""
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline(), flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_process_may_take_what_it_has_started_along_when_its_parent_is_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARENT, CHILD], capture_output=True, text=True, timeout=60, check=False
    )
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    until = time.monotonic() + 30
    while any(running(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.01)
