import hashlib
import os
import signal
import time
from pathlib import Path

import pytest
from my_lab.board import my_host

from testbed.contracts.board import BoardContract
from testbed.model.lab import BoardSpec, ModelFiles


def echo(file, name, **options):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return ModelFiles(name=name, task="t", paths=(file,), sha256=(digest,), runtime="echo", options=options)


class TestMyHost(BoardContract):
    @pytest.fixture
    def board(self, tmp_path):
        file = tmp_path / "weights"
        file.write_bytes(b"echo needs none")
        return my_host(
            BoardSpec(
                id="mine",
                kind="my-host",
                site="edge",
                options={},
                file=tmp_path / "lab.toml",
                models={"quick": echo(file, "quick"), "slow": echo(file, "slow", sleep_ns=50_000_000)},
                profiles={},
                state=tmp_path / "state",
                fence=time.time_ns(),
            )
        )

    @pytest.fixture
    def kill(self):
        def kill():
            me = os.getpid()
            for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split():
                if b"agent-" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)

        return kill
