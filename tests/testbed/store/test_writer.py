"""What was finished survives the death of the writer; nothing is overwritten."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from testbed.errors import StoreError
from testbed.model.record import TrialStatus
from testbed.store.reader import read_run
from testbed.store.schema import Footer, Note
from testbed.store.writer import AT_ONCE, BLOCK_BYTES, RunWriter
from tests.testbed.store.synthetic import header, record_of, requests_of, start, write_run

ROOT = Path(__file__).resolve().parents[3]


def record(i=0):
    return record_of(requests_of(i + 1)[i], "edgesight", np.random.default_rng(1))


def test_header_comes_first_and_footer_last(tmp_path):
    run = RunWriter.create(tmp_path / "run", header())
    assert (tmp_path / "run/header.json").exists()
    assert not (tmp_path / "run/footer.json").exists()
    run.close(Footer(status="finished", ended="now"))
    assert read_run(tmp_path / "run").footer.status == "finished"
    assert not list((tmp_path / "run").glob("*.partial"))


def test_an_existing_folder_is_refused(tmp_path):
    write_run(tmp_path / "run", count=4)
    before = (tmp_path / "run/header.json").read_bytes()
    with pytest.raises(StoreError, match="already holds"):
        RunWriter.create(tmp_path / "run", header())
    assert (tmp_path / "run/header.json").read_bytes() == before


def test_two_writers_exclude_each_other_until_one_lets_go(tmp_path):
    with RunWriter.create(tmp_path / "run", header()), pytest.raises(StoreError, match="another process"):
        RunWriter.resume(tmp_path / "run")
    RunWriter.resume(tmp_path / "run").close()


def test_resume_needs_a_run(tmp_path):
    with pytest.raises(StoreError, match="no run"):
        RunWriter.resume(tmp_path)


def test_a_record_is_on_disk_once_write_returns(tmp_path):
    with (
        RunWriter.create(tmp_path / "run", header()) as run,
        run.begin(start("edgesight", "00-edgesight", requests=2)) as trial,
    ):
        trial.write(record())
        assert read_run(tmp_path / "run").trials[0].records == (record(),)


def test_attempts_are_counted_and_never_overwritten(tmp_path):
    with RunWriter.create(tmp_path / "run", header()) as run:
        for expected in (1, 2, 3):
            with run.begin(start("edgesight", "00-edgesight", requests=2)) as trial:
                assert trial.start.attempt == expected
    with (
        RunWriter.resume(tmp_path / "run") as run,
        run.begin(start("edgesight", "00-edgesight", requests=2)) as trial,
    ):
        assert trial.path.name == "attempt-4.jsonl"


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b"])
def test_a_trial_is_a_plain_folder_name(tmp_path, name):
    with RunWriter.create(tmp_path / "run", header()) as run, pytest.raises(StoreError, match="no name"):
        run.begin(start("edgesight", name, requests=2))


def test_nothing_follows_the_end(tmp_path):
    with (
        RunWriter.create(tmp_path / "run", header()) as run,
        run.begin(start("edgesight", "t", requests=1)) as trial,
    ):
        trial.end(TrialStatus.OK)
        with pytest.raises(StoreError, match="ended"):
            trial.write(Note(t=1, text="late"))


def test_footer_states_the_hash_of_every_journal_also_of_earlier_processes(tmp_path):
    with RunWriter.create(tmp_path / "run", header()) as run, run.begin(start("a", "a", requests=0)) as trial:
        trial.end(TrialStatus.OK)
    with RunWriter.resume(tmp_path / "run") as run:
        with run.begin(start("b", "b", requests=0)) as trial:
            trial.end(TrialStatus.OK)
        run.close(Footer(status="finished", ended="now"))
    footer = read_run(tmp_path / "run").footer
    assert sorted(footer.sha256) == ["trials/a/attempt-1.jsonl", "trials/b/attempt-1.jsonl"]
    assert read_run(tmp_path / "run").damage == ()


@pytest.mark.parametrize("buffered", [False, True])
def test_the_hash_in_the_footer_is_that_of_the_file_whatever_was_hashed_together(tmp_path, buffered):
    with RunWriter.create(tmp_path / "run", header()) as run:
        with run.begin(start("a", "a", requests=0), buffered=buffered) as trial:
            for i in range(AT_ONCE + 1):
                trial.write(Note(t=i, text="x" * (2 * BLOCK_BYTES // AT_ONCE)))
            lines = trial.path.read_bytes().count(b"\n")
            assert lines == (AT_ONCE if buffered else AT_ONCE + 2), "hashed later"
            trial.end(TrialStatus.OK)
        run.close(Footer(status="finished", ended="now"))
    footer = read_run(tmp_path / "run").footer
    data = (tmp_path / "run/trials/a/attempt-1.jsonl").read_bytes()
    assert footer.sha256 == {"trials/a/attempt-1.jsonl": hashlib.sha256(data).hexdigest()}


def test_a_full_disk_is_a_store_error(tmp_path):
    with RunWriter.create(tmp_path / "run", header()) as run:
        trial = run.begin(start("a", "a", requests=0))
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, trial._fd)
        os.close(full)
        with pytest.raises(StoreError, match="No space left"):
            trial.write(record())
        trial.close()


_VICTIM = """
import sys, time
import numpy as np
from pathlib import Path
from testbed.model.record import TrialStatus
from testbed.store.writer import RunWriter
from tests.testbed.store.synthetic import header, record_of, requests_of, start
rng = np.random.default_rng(1)
wishes = requests_of(50)
run = RunWriter.create(Path(sys.argv[1]), header())
with run.begin(start("edgesight", "00-edgesight", requests=50)) as trial:
    for wish in wishes: trial.write(record_of(wish, "edgesight", rng))
    trial.end(TrialStatus.OK)
trial = run.begin(start("edge-only", "01-edge-only", requests=50))
for wish in wishes[:20]: trial.write(record_of(wish, "edge-only", rng))
print("now", flush=True)
time.sleep(30)
"""


def test_kill_9_loses_nothing_that_was_written_and_resume_completes(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout.readline() == "now\n"
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait(10)
    run = read_run(folder)
    done, cut = run.trials
    assert (done.status, len(done.records)) == ("ok", 50)
    assert (cut.status, len(cut.records), cut.unfinished) == ("unfinished", 20, 30)
    assert [p.trial for p in run.pending] == ["01-edge-only", "02-dc-only"]
    assert not run.complete
    with RunWriter.resume(folder) as again:
        for planned in run.pending:
            with again.begin(start(planned.policy, planned.trial, requests=0)) as trial:
                trial.end(TrialStatus.OK)
        again.close(Footer(status="finished", ended="now"))
    after = read_run(folder)
    assert after.complete
    assert [a.start.attempt for a in after.superseded] == [1]


def test_a_thousand_records_take_under_a_tenth_of_a_second_of_cpu(tmp_path):
    one = record()
    with (
        RunWriter.create(tmp_path / "run", header()) as run,
        run.begin(start("a", "a", requests=1000)) as trial,
    ):
        took = []
        for _ in range(10):  # the fastest tells what it costs, the others how busy this machine is
            began = time.process_time()
            for i in range(100):
                trial.write(msgspec.structs.replace(one, ended=one.ended + i))
            took.append(time.process_time() - began)
        assert min(took) < 0.01
