import os
import signal
from pathlib import Path

import pytest
from my_lab.board import my_host

from testbed.contracts.board import BoardContract
from testbed.contracts.echo_spec import echo_spec


class TestMyHost(BoardContract):
    @pytest.fixture
    def board(self, tmp_path):
        return my_host(echo_spec(tmp_path, "my-host"))

    @pytest.fixture
    def kill(self):
        def kill():
            me = os.getpid()
            for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split():
                if b"agent-" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)

        return kill
