"""Virtual time on a lab of many boards; the shipped experiment in virtual time is in tests/flow/test_hello.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import resources
from testbed.campaign.virtual import run_in_virtual_time
from testbed.model.origin import Origin
from testbed.store.reader import read_run
from tests.testbed.campaign.test_earlier import write_live

CAMPAIGN = """
schema = 1
name = "many"
lab = "{lab}"
task = "image-classification/fashion-mnist"
policies = ["edgesight", "edge-only", "dc-only"]
[workload]
requests = 2500
deadline_ms = 250
allow_degraded = true
arrivals = {{ process = "poisson", rate_hz = 30000 }}
needs = [{{ min_accuracy = 0.85 }}, {{ min_accuracy = 0.91 }}]
"""


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return write_live(tmp_path / "runs" / "live", "2026-01-01")


@pytest.fixture
def thousand(tmp_path: Path) -> Path:
    (tmp_path / "campaign.toml").write_text(CAMPAIGN.format(lab=resources.lab("thousand")))
    return tmp_path


def test_a_thousand_boards_repeat_to_the_byte_but_for_the_clock_on_the_wall(
    live: Path, thousand: Path
) -> None:
    journals = []
    for name in ("one", "two"):
        made = run_in_virtual_time(thousand, after=live, out=thousand / name)
        files = sorted(made.glob("trials/*/*.jsonl"))
        assert len(files) == 3
        # The first line has the wall time; all the rest must agree.
        journals.append([file.read_bytes().partition(b"\n")[2] for file in files])
    assert journals[0] == journals[1]
    run = read_run(thousand / "one")
    assert run.complete
    assert not run.damage
    for attempt in run.trials:
        assert len(attempt.records) == attempt.start.requests == 2500
        assert {s.origin for r in attempt.records for s in r.steps} == {Origin.MODELLED}
