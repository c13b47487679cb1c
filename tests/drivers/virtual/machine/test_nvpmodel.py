"""Bytes of the virtual nvpmodel are those of the tool."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from drivers.virtual.machine import jetson, nvpmodel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    jetson.lay_out(tmp_path)
    return tmp_path


def run(root: Path, *arguments: str, answer: str = "") -> tuple[int, str, str]:
    command = [sys.executable, "-IS", nvpmodel.__file__, str(root), *arguments]
    done = subprocess.run(command, input=answer, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


def test_it_tells_the_mode_in_two_lines(root: Path) -> None:
    assert run(root, "-q") == (0, "NV Power Mode: 25W\n1\n", "")


def test_a_mode_is_kept_in_the_tools_own_file_and_sets_limits(root: Path) -> None:
    assert run(root, "-m", "2") == (0, "", "")
    assert (root / nvpmodel.STATUS).read_text() == "pmode:0002\n"
    assert (root / jetson.GPU / "max_freq").read_text() == "1020000000\n"
    assert run(root, "-q") == (0, "NV Power Mode: MAXN_SUPER\n2\n", "")


@pytest.mark.parametrize("answer", ["", "YES\n"])
def test_it_asks_before_a_reboot_and_an_end_is_no(root: Path, answer: str) -> None:
    code, out, err = run(root, "-m", "3", answer=answer)
    assert code == nvpmodel.REFUSED
    assert "NVPM WARN: Reboot required for changing to this power mode: 3\n" in out
    assert err == ("NVPM ERROR: cannot reboot\n" if answer else "NVPM ERROR: bad input!\n")
    assert run(root, "-q")[1] == "NV Power Mode: 25W\n1\n"


@pytest.mark.parametrize("mode", ["9", "-1", "MAXN"])
def test_an_unknown_mode_is_an_error(root: Path, mode: str) -> None:
    assert run(root, "-m", mode) == (nvpmodel.REFUSED, "", f"NVPM ERROR: request for bad power mode {mode}\n")


def test_anything_else_is_refused(root: Path) -> None:
    assert run(root)[0] == nvpmodel.REFUSED
    assert run(root, "-f", "x")[0] == nvpmodel.REFUSED
