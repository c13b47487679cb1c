"""Who may import whom, what starts fast, and that the lock files say nothing about where packages come from."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.architecture.test_tree import ROOT

HEAVY = {
    "numpy",
    "scipy",
    "matplotlib",
    "onnxruntime",
    "paramiko",
    "asyncssh",
    "serial",
    "msgspec",
    "asyncio",
    "typer",
}


def test_import_contracts_hold():
    lint = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())",
    ]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def modules_after(statement: str) -> set[str]:
    """Top-level modules loaded by a fresh interpreter that runs ``statement``."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_plugin_adds_nothing_heavy_to_the_start_of_pytest():
    already = modules_after("import pytest")
    added = modules_after("import pytest, testbed.pytest_plugin") - already
    assert not added & HEAVY


def test_the_command_line_starts_without_what_it_measures_with():
    assert not modules_after("import testbed.cli") & (HEAVY - {"typer", "asyncio"})


def test_lock_files_name_versions_and_hashes_only():
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-pynq.lock"):
        text = (ROOT / name).read_text("utf-8")
        assert not re.search(r"https?:|file:|--(?:extra-)?index-url|--find-links", text), name
        pins = re.findall(r"^([a-z][\w.-]*)==\S+", text, re.MULTILINE)
        assert len(pins) > 20
        hashed = re.findall(r"^[a-z][\w.-]*==[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)
        assert len(hashed) == len(pins), f"{name}: a pin without a hash"
