from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

import pytest

from testbed.model.lab import BoardSpec, ModelFiles


def model_files(path, runtime="echo", name="quick", **options):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelFiles(name=name, task="t", paths=(path,), sha256=(digest,), runtime=runtime, options=options)


@pytest.fixture
def make_spec(tmp_path):
    """A board's specification with a quick and a slow echo model."""

    def make(kind="local", models=None, **options):
        file = tmp_path / "weights.bin"
        file.write_bytes(bytes(range(256)) * 700)
        if models is None:
            slow = model_files(file, name="slow", sleep_ns=50_000_000)
            models = {"quick": model_files(file), "slow": slow}
        return BoardSpec(
            id="board",
            kind=kind,
            site="edge",
            options=options,
            file=tmp_path / "lab.toml",
            models=models,
            profiles={},
            state=tmp_path / "state",
            fence=time.time_ns(),
        )

    return make


@pytest.fixture
def kill_child():
    """Kills the agents that this test process has started."""

    def kill():
        me = os.getpid()
        children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        for pid in children:
            if b"agent-" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)

    return kill
