from __future__ import annotations

import os
import signal
import subprocess
import sys

import msgspec
import pytest

from testbed.campaign.profiling.journal import SCHEMA, Begun, Block, Finished, Journal, Remark
from testbed.campaign.profiling.plan import Cell, Plan
from testbed.errors import StoreError

BEGUN = Begun(
    schema=SCHEMA, plan=Plan(board="b", model="m"), lab_sha256="1", model_sha256=("2",), board={}, wall="now"
)


def block(batch: int) -> Block:
    return Block(
        cell=Cell(exit=0, batch=batch), ns=(3, 2, 1), warmup=1, settled=True, wall_s=0.1, items_per_s=5.0
    )


def test_what_was_written_is_gone_on_with(tmp_path):
    file = tmp_path / "new" / "m.journal.jsonl"
    with Journal(file, resume=False) as journal:
        assert journal.begun is None
        journal.write(BEGUN)
        journal.write(block(1))
    with Journal(file, resume=True) as journal:
        assert journal.begun == BEGUN
        journal.write(block(2))
    with Journal(file, resume=True) as journal:
        assert journal.entries == [BEGUN, block(1), block(2)]


def test_a_line_that_was_cut_off_is_dropped_and_written_over(tmp_path):
    file = tmp_path / "j"
    with Journal(file, resume=False) as journal:
        journal.write(BEGUN)
        journal.write(block(1))
    whole = file.read_bytes()
    torn = msgspec.json.encode(block(2))
    for length in range(1, len(torn) + 1, 17):
        file.write_bytes(whole + torn[:length])
        with Journal(file, resume=True) as journal:
            assert journal.entries == [BEGUN, block(1)]
            journal.write(block(3))
        with Journal(file, resume=True) as journal:
            assert journal.entries == [BEGUN, block(1), block(3)]


def test_one_that_was_interrupted_is_not_lost_and_a_finished_one_is_written_anew(tmp_path):
    file = tmp_path / "j"
    with Journal(file, resume=False) as journal:
        journal.write(BEGUN)
    with pytest.raises(StoreError, match="--resume"):
        Journal(file, resume=False)
    with Journal(file, resume=True) as journal:
        journal.write(Finished())
    before = file.read_bytes()
    with Journal(file, resume=False) as journal:
        assert journal.entries == []
    assert file.read_bytes() == before, "nothing came in its place"
    with Journal(file, resume=False) as journal:
        journal.write(BEGUN)
    with Journal(file, resume=True) as journal:
        assert journal.entries == [BEGUN]


def test_one_in_which_nothing_was_written_leaves_nothing(tmp_path):
    file = tmp_path / "new" / "board" / "j"
    for resume in (False, True):
        with pytest.raises(KeyError), Journal(file, resume=resume):
            raise KeyError
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "new").mkdir()
    with Journal(file, resume=False):
        (tmp_path / "new" / "board" / "note").write_text("mine")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["note"]


def test_two_processes_do_not_write_one(tmp_path):
    with Journal(tmp_path / "j", resume=False), pytest.raises(StoreError, match="another process"):
        Journal(tmp_path / "j", resume=True)


def test_what_is_no_journal_is_refused(tmp_path):
    file = tmp_path / "j"
    for text in ('{"type": "block"}\n', "hello\n", msgspec.json.encode(Remark(text="x")).decode() + "\n"):
        file.write_text(text)
        with pytest.raises(StoreError, match="entry|journal"):
            Journal(file, resume=True)
        assert file.read_text() == text


def test_kill_loses_nothing_that_was_written(tmp_path):
    """The writer kills itself the moment ``write`` returns: no close, no flush."""
    file = tmp_path / "j"
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.testbed.campaign.profiling.test_journal import BEGUN, block, Journal\n"
        "journal = Journal(Path(sys.argv[1]), resume=False)\n"
        "journal.write(BEGUN); journal.write(block(7)); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(file)], check=False, env=os.environ, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with Journal(file, resume=True) as journal:
        assert journal.entries == [BEGUN, block(7)]
