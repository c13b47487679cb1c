"""Folders of killed processes go, those of living ones stay."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.scratch import scratch_folder

MAKER = """
import sys, tempfile
from pathlib import Path
from testbed.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "socket").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""
# Makes folder after folder, and looks whether each one stays while it is held.
LOOKING = """
import sys
from pathlib import Path
from testbed.scratch import scratch_folder
for _ in range(200):
    with scratch_folder(Path(sys.argv[1])) as folder:
        (folder / "first").touch()
        (folder / "second").touch()
        assert (folder / "first").exists()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def another(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder there."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(place), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert (folder / "socket").exists()
    return process, folder


def end(process: subprocess.Popen[str], how: signal.Signals | None) -> None:
    if how is not None:
        process.send_signal(how)
    process.communicate(timeout=60)


def test_it_is_there_for_us_alone_and_goes_at_the_end(place):
    with scratch_folder() as folder:
        assert folder.parent == place
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "below").mkdir()
    assert list(place.iterdir()) == []


def test_it_goes_when_its_user_fails(place):
    with pytest.raises(ZeroDivisionError), scratch_folder():
        1 / 0  # noqa: B018
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(place):
    process, left = another(place)
    end(process, signal.SIGKILL)
    assert (left / "socket").exists()
    with scratch_folder() as folder:
        assert not left.exists()
        assert sorted(place.iterdir()) == sorted([folder, folder.with_suffix(".lock")])


def test_what_a_living_process_or_this_one_holds_stays(place):
    process, theirs = another(place)
    with scratch_folder() as ours:
        with scratch_folder() as second:
            assert (theirs / "socket").exists()
            assert ours.exists()
        assert not second.exists()
        assert ours.exists()
    assert (theirs / "socket").exists()
    end(process, None)
    assert process.returncode == 0
    assert list(place.iterdir()) == []


def test_what_is_not_ours_stays(place, monkeypatch):
    unlocked = place / "testbed-ab12cd34"
    unlocked.mkdir()
    (place / "other.lock").touch()
    elsewhere = place / "kept"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (place / "testbed-link").symlink_to(elsewhere)
    (place / "testbed-link.lock").touch()
    with scratch_folder():
        pass
    assert unlocked.exists()
    assert (place / "other.lock").exists()
    assert (elsewhere / "file").exists()
    process, left = another(place)
    end(process, signal.SIGKILL)
    monkeypatch.setattr("os.geteuid", lambda: left.stat().st_uid + 1)
    with scratch_folder():
        assert left.exists(), "another user's"


def test_a_kill_between_lock_and_folder_leaves_nothing_for_ever(place):
    (place / "testbed-ab12cd34.lock").touch()
    with scratch_folder():
        assert not (place / "testbed-ab12cd34.lock").exists()


def test_starts_at_the_same_time_never_take_each_other_s_folder(place):
    several = [
        subprocess.Popen([sys.executable, "-c", LOOKING, str(place)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in several:
        _, said = process.communicate(timeout=100)
        assert process.returncode == 0, said
    assert list(place.iterdir()) == []
