"""The example of a distribution outside the tree: its tests pass, and its entry points are there."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib

import pytest


@pytest.fixture
def package(tree):
    return tree / "docs/examples/own-package"


def test_its_own_tests_pass(package):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "Meter or RoundRobin or up_is",
    ]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_its_entry_points_are_functions(package, monkeypatch):
    monkeypatch.syspath_prepend(package)
    told = tomllib.loads((package / "pyproject.toml").read_text())["project"]["entry-points"]
    assert set(told) == {"testbed.boards", "testbed.meters", "testbed.policies"}
    for group in told.values():
        for target in group.values():
            module, _, name = target.partition(":")
            assert callable(getattr(importlib.import_module(module), name))
