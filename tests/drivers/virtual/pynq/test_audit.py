"""What is drawn is handed to a child; what it finds comes back once. The real child: test_auditor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.virtual.pynq.audit import NAMES, Audit
from drivers.virtual.pynq.model_fabric import Ended, Start
from tests.processes import running

START = Start(program=0, offset=0, commands=1, given=0, record=0, limits=(0, 0, 0, 0), mask=0, key=1)
ECHO = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    differs = int(asked["label"] != 3)
    found = {"rtl_audited": 1, "rtl_answers_differ": differs, "rtl_cycles_differ": int(asked["cycles"] != 7)}
    print(json.dumps(found), flush=True)
"""


def offer(audit, label=3, cycles=7):
    audit.offer(Path("net.npu"), b"\0\1", START, Ended(label=label, cycles=cycles, logits=b"\5"))


def wait_for(audit, count):
    found = dict.fromkeys(NAMES, 0)
    until = time.monotonic() + 30
    while found["rtl_audited"] < count and time.monotonic() < until:
        for name, value in audit.report().items():
            found[name] += value
        time.sleep(0.01)
    return found


@pytest.fixture
def make():
    made = []

    def make(frac=1.0, seed=0, command=(sys.executable, "-c", ECHO)):
        made.append(Audit(frac, seed, command=command))
        return made[-1]

    yield make
    for audit in made:
        audit.close()


def test_what_comes_back_is_counted_and_told_once(make):
    audit = make()
    for label, cycles in ((3, 7), (4, 7), (3, 8)):
        offer(audit, label, cycles)
    assert wait_for(audit, 3) == {"rtl_audited": 3, "rtl_answers_differ": 1, "rtl_cycles_differ": 1}
    assert audit.report() == {}


def test_the_sample_is_drawn_from_the_seed(make):
    def drawn(seed):
        audit = make(frac=0.3, seed=seed)
        audit.start = lambda: None
        sizes = []
        for _ in range(60):
            offer(audit)
            sizes.append(audit._waiting.qsize())
        return sizes

    one, again, other = drawn(1), drawn(1), drawn(2)
    assert one == again != other
    assert 5 < one[-1] < 35


def test_nothing_drawn_starts_nothing(make):
    audit = make(frac=0.0)
    offer(audit)
    assert not audit._started


def test_a_child_that_ends_holds_nobody_up(make):
    audit = make(command=(sys.executable, "-c", "raise SystemExit(3)"))
    for _ in range(200):
        offer(audit)
    assert audit.report() == {}


def test_what_the_child_has_started_ends_with_it(make, tmp_path):
    started = tmp_path / "pid"
    child = f"""
import pathlib, subprocess, sys
other = subprocess.Popen(["sleep", "60"])
pathlib.Path({str(started)!r}).write_text(str(other.pid) + ".")
sys.stdin.read()
"""
    audit = make(command=(sys.executable, "-c", child))
    audit.start()
    until = time.monotonic() + 30
    while not (started.is_file() and started.read_text().endswith(".")):
        assert time.monotonic() < until
        time.sleep(0.01)
    audit.close()
    other = int(started.read_text().rstrip("."))
    while running(other):
        assert time.monotonic() < until
        time.sleep(0.01)


TALKS = """
import sys
print("a word", file=sys.stderr, flush=True)
print('{"rtl_audited": 1, "rtl_answers_differ": 0, "rtl_cycles_differ": 0}', flush=True)
"""


def test_what_the_child_says_beside_its_findings_is_passed_on(make, capsys):
    audit = make(command=(sys.executable, "-c", TALKS))
    audit.start()
    assert wait_for(audit, 1)["rtl_audited"] == 1
    assert capsys.readouterr().err == "a word\n"


AGENT = """
import pathlib, sys, time
from drivers.virtual.pynq.audit import Audit
Audit(1.0, 0, command=(sys.executable, "-c", sys.argv[1])).start()
time.sleep(60)
"""
OUTLIVES = """
import os, time
print("pid", os.getpid(), file=open(%r, "w"), flush=True)
time.sleep(60)
"""


def test_a_child_that_outlives_its_killed_agent_does_not_hold_the_agents_streams(tmp_path):
    file = tmp_path / "pid"
    with subprocess.Popen(
        [sys.executable, "-c", AGENT, OUTLIVES % str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as agent:
        until = time.monotonic() + 30
        while not (file.is_file() and file.read_text().endswith("\n")):
            assert time.monotonic() < until
            time.sleep(0.01)
        child = int(file.read_text().split()[1])
        agent.kill()
        assert agent.communicate(timeout=30) == (b"", b"")
        assert running(child)
        os.kill(child, signal.SIGKILL)
