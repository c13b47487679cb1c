from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from testbed.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

LAB = """
schema = 1
name = "two processes"
[boards.near]
kind = "local"
site = "edge"
models = ["cnn-tiny"]
[boards.far]
kind = "local"
site = "dc"
models = ["cnn-small"]
"""

CAMPAIGN = """
schema = 1
name = "small"
lab = "lab.toml"
task = "image-classification/fashion-mnist"
policies = ["edge-only", "dc-only"]
[workload]
requests = 120
allow_degraded = true
arrivals = { process = "constant", rate_hz = 200 }
needs = [{ min_accuracy = 0.5 }]
[measure]
idle_s = 0.05
probes = 8
limit_s = 5.0
warmup = 1
"""


def invoke(*args: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    command = [sys.executable, "-c", "from testbed.cli import main; main()", *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=cwd, env={**os.environ, **env}
    )


def call(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same within this process, for all that needs no process of its own: it saves a second of imports."""
    with contextlib.chdir(cwd or "."):
        seen = CliRunner().invoke(app, [*map(str, args)], env={"NO_COLOR": "1"})
    return subprocess.CompletedProcess(args, seen.exit_code, seen.stdout, seen.stderr)


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small experiment on two processes of this host."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "lab.toml").write_text(LAB)
    (folder / "campaign.toml").write_text(CAMPAIGN)
    return folder


@pytest.fixture(scope="session")
def played(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str, int]:
    """A run of it with ``--json``: folder, standard output, standard error, exit code."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    done = invoke("run", experiment, "--out", folder, "--json")
    return folder, done.stdout, done.stderr, done.returncode
