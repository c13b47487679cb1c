"""What a header pins."""

from __future__ import annotations

import hashlib
import platform
import subprocess

from testbed.store.provenance import git_state, host_facts, sha256_of, versions


def git(folder, *args):
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@example.org", *args],
        check=True,
        capture_output=True,
    )


def test_commit_and_dirty_flag(tmp_path):
    assert git_state(tmp_path) == (None, None)
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "one")
    commit, dirty = git_state(tmp_path)
    assert len(commit) == 40
    assert dirty is False
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == (commit, True)


def test_git_that_is_not_there_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == (None, None)


def test_versions_name_python_and_numpy_but_nothing_absent():
    found = versions()
    assert found["python"] == platform.python_version()
    assert "numpy" in found
    assert all(found.values())


def test_host_facts_do_not_name_the_host():
    assert platform.node() not in str(host_facts(cpu="Example 9000")) or not platform.node()


def test_hash_of_bytes_and_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(b"abc") == sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
