from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from testbed.campaign.profiling.journal import Block, Entry
from testbed.coordinator.lease_store import LeaseStore
from testbed.model.lease import Holder
from testbed.store.profile_checks import shortcomings
from testbed.store.profiles import load_profile
from testbed.units import S
from tests.testbed.cli.conftest import call, invoke

SHARED = """
schema = 1
name = "shared"
state = "state"
[boards.near]
kind = "local"
site = "edge"
models = ["cnn-tiny"]
lease = "desk"
"""
QUICK = ("--energy-s", 0, "--accuracy-s", 0.1, "--loads", 2)


def blocks(file):
    """Those in a journal, without a line that is being written."""
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    entries = [msgspec.json.decode(line, type=Entry) for line in lines if line.endswith(b"\n")]
    return [entry for entry in entries if isinstance(entry, Block)]


def under_way(command, journal):
    """A profile in a process of its own, two blocks of which are in its journal."""
    running = subprocess.Popen(
        [sys.executable, "-m", "testbed", *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while len(blocks(journal)) < 2 and running.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    return running


def test_profile_writes_what_loads_again(experiment, tmp_path):
    file = tmp_path / "near" / "cnn-tiny.toml"
    done = invoke(
        *("profile", "near", "cnn-tiny", "--lab", experiment / "lab.toml", "--out", file, *QUICK),
        *("--repeats", 20, "--batch", 1, "--batch", 3, "--json"),
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["file"] == str(file)
    assert document["shortcomings"] == []
    profile = load_profile(file)
    assert [(row.batch, row.n, row.stopped) for row in profile.service] == [
        (1, 20, "repeats"),
        (3, 20, "repeats"),
    ]
    assert all(row.origin.value.startswith("measured") for row in profile.service)
    assert shortcomings(profile) == []
    said = profile.provenance
    assert said.run.startswith("testbed profile near cnn-tiny, lab ")
    assert said.versions["onnxruntime version"]
    assert said.board["kind"] == "local"
    assert len(said.hashes["agent"]) == 64


def test_kill_loses_no_finished_block(experiment, tmp_path):
    file = tmp_path / "near" / "cnn-tiny.toml"
    journal = file.with_suffix(".journal.jsonl")
    command = [
        *(
            "profile",
            "--board",
            "near",
            "--model",
            "cnn-tiny",
            "--lab",
            experiment / "lab.toml",
            "--out",
            file,
        ),
        *(*QUICK, "--repeats", 800),
    ]
    running = under_way(command, journal)
    running.kill()
    running.stderr.close()
    assert running.wait(10) == -signal.SIGKILL, "it had not ended yet"
    before = blocks(journal)
    assert len(before) >= 2
    assert "--resume" in call(*command).stderr, "what is there is not thrown away unasked"
    other = call(*command, "--batch", "1,2", "--resume")
    assert other.returncode == 2
    assert "another plan" in other.stderr
    assert call(*command, "--resume", "--json").returncode == 0
    assert blocks(journal)[: len(before)] == before
    assert load_profile(file).service[0].n == 800


@pytest.mark.parametrize("how", ["interrupted", "lost"])
def test_one_that_ends_early_says_how_to_go_on(experiment, tmp_path, how):
    file = tmp_path / "near" / "cnn-tiny.toml"
    command = ["profile", "near", "cnn-tiny", "--lab", experiment / "lab.toml", "--out", file]
    command += [*QUICK, "--repeats", 400]
    with under_way(command, file.with_suffix(".journal.jsonl")) as running:
        if how == "interrupted":
            running.send_signal(signal.SIGINT)
        else:
            for agent in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split():
                os.kill(int(agent), signal.SIGKILL)
        _, said = running.communicate(timeout=60)
    assert running.returncode == (130 if how == "interrupted" else 3), said
    *_, hint, error = said.splitlines()
    assert error.startswith("error: ")
    before, _, told = hint.partition(": ")
    assert before == "to measure the rest"
    assert shlex.split(told) == ["testbed", *map(str, command), "--resume"]
    assert call(*shlex.split(told)[1:]).returncode == 0
    assert load_profile(file).service[0].n == 400


def test_one_refused_before_it_began_leaves_nothing(tmp_path):
    lab = tmp_path / "lab.toml"
    lab.write_text(SHARED)
    LeaseStore(tmp_path / "state").acquire(
        {"lease:desk": "near"}, Holder(user="bob", host="lab9", pid=22), "run x", 3600 * S
    )
    out = tmp_path / "new" / "near" / "cnn-tiny.toml"
    done = call("profile", "near", "cnn-tiny", "--lab", lab, "--out", out)
    assert done.returncode == 3
    assert "bob@lab9" in done.stderr
    assert "--resume" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_profile_of_a_board_or_model_that_is_not_there(experiment, tmp_path):
    lab = experiment / "lab.toml"
    assert "Did you mean 'near'" in call("profile", "neer", "cnn-tiny", "--lab", lab, cwd=tmp_path).stderr
    assert "Did you mean 'cnn-tiny'" in call("profile", "near", "cnn-tin", "--lab", lab, cwd=tmp_path).stderr
    assert "--board: is missing" in call("profile", "--lab", lab).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_board_without_power_modes_says_so(experiment, tmp_path):
    lab = experiment / "lab.toml"
    done = call("profile", "near", "cnn-tiny", "--lab", lab, "--power-mode", 2, cwd=tmp_path)
    assert done.returncode == 2
    assert "--power-mode: boards of kind 'local' have none" in done.stderr


def test_a_profile_that_could_not_be_read_back_is_not_measured(experiment, tmp_path):
    lab, file = experiment / "lab.toml", tmp_path / "p.toml"
    done = call("profile", "near", "cnn-tiny", "--lab", lab, "--out", file)
    assert done.returncode == 2
    assert "Give near/cnn-tiny.toml" in done.stderr
    assert not file.exists()
