from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from drivers.virtual.machine.command import Agent, Reply, interpret, locate
from drivers.virtual.machine.config import HOME

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / HOME).mkdir(parents=True)
    return tmp_path


def reply(root: Path, line: str) -> Reply:
    answer = interpret(root, line)
    assert isinstance(answer, Reply)
    return answer


@pytest.mark.parametrize(
    "path", ["~/.cache/a.pyz", ".cache/a.pyz", f"/{HOME}/.cache/a.pyz", "$HOME/.cache/a.pyz"]
)
def test_the_agent_runs_from_the_boards_own_tree(root: Path, path: str) -> None:
    assert interpret(root, f"exec python3 -u '{path}' --stdio --state ~/s") == Agent(
        root / HOME / ".cache/a.pyz", ("--stdio", "--state", str(root / HOME / "s"))
    )


@pytest.mark.parametrize("path", ["../../../../etc/passwd", "/../../etc/passwd", "~/../../../etc/passwd"])
def test_nothing_leads_out_of_the_root(root: Path, path: str) -> None:
    assert locate(root, path) == root / "etc/passwd"
    assert reply(root, f"cat {path}").code == 1


def test_files_are_hashed_as_sha256sum_does(root: Path) -> None:
    (root / HOME / "f").write_bytes(b"abc")
    assert reply(root, "sha256sum -- f").output == f"{hashlib.sha256(b'abc').hexdigest()}  f\n"
    assert reply(root, "sha256sum -- g").code == 1


def test_files_are_made_moved_and_removed(root: Path) -> None:
    assert reply(root, "mkdir -p a/b").code == 0
    (root / HOME / "a/b/f").write_text("x")
    assert reply(root, "mv -f a/b/f a/g").code == 0
    assert reply(root, "cat a/g").output == "x"
    assert reply(root, "rm -f a/g").code == 0
    assert not (root / HOME / "a/g").exists()


@pytest.mark.parametrize(
    "line",
    ["bash -c id", "python3", "python3 -c 'print(1)'", "cat f; id", "sha256sum f | sh", "python3 x.py"],
)
def test_what_it_does_not_know_is_refused_or_taken_literally(root: Path, line: str) -> None:
    assert reply(root, line).code != 0


def test_versions_and_nonsense(root: Path) -> None:
    assert reply(root, "python3 --version").output.startswith("Python 3.")
    ask = "python3 -c 'import sys; print('\"'\"'%d.%d.%d'\"'\"' % sys.version_info[:3])'"
    assert reply(root, ask).output.startswith("3.")
    (root / HOME / "f").write_text("a\nb\nc\n")
    assert reply(root, "head -n 2 f").output == "a\nb\n"
    assert reply(root, "head -n x f").code == 1
    assert reply(root, "echo 'unbalanced").code == 2
    assert reply(root, "") == Reply()
