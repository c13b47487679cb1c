"""What is drawn is handed to a child; what it finds comes back once. The real child: test_auditor."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from drivers.virtual.pynq.audit import NAMES, Audit
from drivers.virtual.pynq.model_fabric import Ended, Start

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


def running(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


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
