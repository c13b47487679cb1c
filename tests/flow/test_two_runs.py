"""Two runs that want the same boards, as real processes: they take turns; virtual boards hinder nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.coordinator.lease_store import LeaseStore
from testbed.store.reader import Run, read_run
from tests.flow.conftest import start

LAB = """
schema = 1
name = "shared"
state = "state"
lease_s = 6
[boards.near]
kind = "local"
site = "edge"
models = ["cnn-tiny"]
lease = "bench 1"
[boards.far]
kind = "local"
site = "dc"
models = ["cnn-small"]
lease = "bench 2"
"""
CAMPAIGN = """
schema = 1
name = "{name}"
lab = "{lab}"
task = "image-classification/fashion-mnist"
policies = ["edge-only"]
[workload]
requests = {requests}
allow_degraded = true
arrivals = {{ process = "constant", rate_hz = 100 }}
needs = [{{ min_accuracy = 0.5 }}]
[measure]
idle_s = 0.05
probes = 4
limit_s = 10.0
warmup = 1
"""
# No lease runs out while both live, however busy this host is; and the same boards in the other order.
PATIENT = LAB.replace("lease_s = 6", "lease_s = 60")
SWAPPED = PATIENT.replace("bench 1", "x").replace("bench 2", "bench 1").replace('"x"', '"bench 2"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lab.toml").write_text(LAB)
    (tmp_path / "patient.toml").write_text(PATIENT)
    (tmp_path / "swapped.toml").write_text(SWAPPED)
    return tmp_path


def experiment(folder: Path, name: str, requests: int = 40, lab: str = "lab.toml") -> Path:
    made = folder / name
    made.mkdir()
    (made / "campaign.toml").write_text(CAMPAIGN.format(name=name, lab=folder / lab, requests=requests))
    return made


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=100)
    return process.returncode, said


def used(run: Run) -> tuple[int, int]:
    """When a run took its boards, and its last word from one; one host, one monotonic clock."""
    [attempt] = run.trials
    taken = [note.t for note in attempt.notes if "is leased as" in note.text]
    assert len(taken) == 2
    heard = [*(window.end for window in attempt.windows), *(probe.t3 for probe in attempt.probes)]
    return min(taken), max(heard)


def wait_until_held(folder: Path) -> None:
    store, until = LeaseStore(folder / "state"), time.monotonic() + 60
    while not any(board.held for board in store.read()[0].values()):
        assert time.monotonic() < until, "no run took the boards"
        time.sleep(0.02)


@pytest.mark.timeout(200)
def test_two_runs_on_one_lab_never_interleave(folder: Path) -> None:
    runs = [
        start(
            *("run", experiment(folder, name, lab=lab), "--out", folder / f"out-{name}", "--wait", 90),
            cwd=folder,
        )
        for name, lab in (("one", "patient.toml"), ("two", "swapped.toml"))
    ]
    for process in runs:
        code, said = ended(process)
        assert code in (0, 1), said
    spans = sorted(used(read_run(folder / f"out-{name}")) for name in ("one", "two"))
    assert spans[0][1] < spans[1][0], "both had requests on a board at the same time"


@pytest.mark.timeout(200)
def test_without_wait_the_holder_is_named_and_after_kill_9_his_lease_runs_out(folder: Path) -> None:
    long = start("run", experiment(folder, "long", 100_000), "--out", folder / "out-long", cwd=folder)
    try:
        wait_until_held(folder)
        code, said = ended(start("run", experiment(folder, "hasty"), "--out", folder / "o", cwd=folder))
        assert code == 3, said
        assert f"process {long.pid} (run long)" in said
        assert not (folder / "o").exists()
    finally:
        os.kill(long.pid, signal.SIGKILL)
        long.communicate(timeout=20)
    heir = start("run", experiment(folder, "heir"), "--out", folder / "out-heir", "--wait", 60, cwd=folder)
    code, said = ended(heir)
    assert code in (0, 1), said
    [attempt] = read_run(folder / "out-heir").trials
    told = [note.text for note in attempt.notes if "is leased as" in note.text]
    assert len(told) == 2
    assert all(f"process {long.pid} (run long)" in text and " expired at " in text for text in told)


@pytest.mark.timeout(200)
def test_a_run_whose_lease_is_broken_ends_by_itself_and_says_why(folder: Path) -> None:
    out = folder / "out-long"
    long = start("run", experiment(folder, "long", 100_000), "--out", out, cwd=folder)
    try:
        until = time.monotonic() + 60
        while not list(out.glob("trials/*/attempt-1.jsonl")):
            assert time.monotonic() < until, "it did not begin"
            time.sleep(0.05)
        broken = start("release", f"{folder / 'lab.toml'}/near", "--force", cwd=folder)
        assert ended(broken)[0] == 0
        code, said = ended(long)
    finally:
        if long.poll() is None:
            long.kill()
    assert code == 3, said
    assert "near: our lease is over" in said
    footer = read_run(out).footer
    assert footer is not None
    assert "was broken by" in footer.reason


def test_runs_with_boards_of_their_own_take_no_lease(folder: Path) -> None:
    """So two jobs of a CI, each with the shipped virtual lab, run side by side."""
    script = (
        "from testbed.cli.leases import lease_rows\n"
        "from testbed.coordinator.labfile import read_lab\n"
        "from testbed.resources import lab\n"
        "assert {row['state'] for row in lease_rows(read_lab(lab('virtual'))).values()} == {'own'}\n"
    )
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "xdg")}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)
    plain = LAB.replace('lease = "bench 1"\n', "").replace('lease = "bench 2"\n', "")
    (folder / "lab.toml").write_text(plain)
    code, said = ended(start("run", experiment(folder, "one"), "--out", folder / "out-one", cwd=folder))
    assert code in (0, 1), said
    assert not (folder / "state").exists()
