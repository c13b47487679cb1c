from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import tty

import pytest

from drivers.boards.agent_file import pack_agent
from drivers.boards.serial import serial
from testbed.contracts.board import BoardContract, Listener
from testbed.errors import BoardError, ConfigError
from testbed.model import event as ev
from testbed.model.action import Infer, Item, Load

BOUND_S = 20


class Line:
    """A null-modem cable between two pseudo-terminals, with an agent at its far end; bytes can be hurt on the way."""

    def __init__(self, folder):
        self.hurt = lambda data: data
        self.masters, self.paths, self.slaves = [], [], []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            self.masters.append(master)
            self.slaves.append(slave)
            self.paths.append(os.ttyname(slave))
        self.stopping = False
        self.threads = [threading.Thread(target=self._copy, args=pair) for pair in ((0, 1), (1, 0))]
        for thread in self.threads:
            thread.start()
        self.argv = [sys.executable, str(pack_agent(folder)), "--tty", self.paths[1], "--baud", "4000000"]
        self.argv += ["--state", str(folder / "agent")]
        self.agent = None
        self.start()

    def start(self):
        self.agent = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        self.agent.kill()
        self.agent.wait(5)
        self.start()

    def _copy(self, source, sink):
        while True:
            data = os.read(self.masters[source], 4096)
            if self.stopping:
                return
            data = self.hurt(data)
            while data:
                data = data[os.write(self.masters[sink], data) :]

    def stop(self):
        self.agent.kill()
        self.agent.wait(5)
        self.stopping = True
        for slave in self.slaves:
            os.write(slave, b"\0")
        for thread in self.threads:
            thread.join(5)
        for fd in (*self.masters, *self.slaves):
            os.close(fd)


@pytest.fixture
def line(tmp_path):
    line = Line(tmp_path)
    yield line
    line.stop()


@pytest.fixture
def board(line, make_spec):
    return serial(make_spec("serial", port=line.paths[0], baud=4_000_000, silence_ms=1500))


class TestSerialBoard(BoardContract):
    shape = (1, 8, 8)

    @pytest.fixture
    def board(self, board):
        return board

    @pytest.fixture
    def kill(self, line):
        return line.kill


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_noisy_line_loses_no_action_and_doubles_none(board, line, seed):
    rng = random.Random(seed)
    heard = Listener()
    await board.open(heard)
    board.send(Load(id=1, board="board", model="quick"))
    assert isinstance(await heard.fate(1, BOUND_S), ev.Loaded)

    def hurt(data):
        if rng.random() < 0.03:
            at = rng.randrange(len(data))
            return rng.choice(
                (data[:at], data[:at] + b"\xff" + data[at + 1 :], data[:at] + b"noise" + data[at:])
            )
        return data

    line.hurt = hurt
    for action in range(100, 160):
        order = Infer(id=action, board="board", model="quick", batch=(Item(request=action),))
        board.send(order, TestSerialBoard().payload(1), (action,))
    await heard.until(lambda: sum(100 <= a < 160 for a in heard.fates()) == 60, BOUND_S)
    line.hurt = lambda data: data
    assert set(heard.fates().values()) == {1}
    assert len(heard.of(ev.Executed)) == 60
    await board.close()


async def test_another_agent_than_ours_is_refused(line, make_spec):
    board = serial(make_spec("serial", port=line.paths[0], baud=4_000_000, agent_sha256="0" * 64))
    with pytest.raises(BoardError, match="refuses us") as caught:
        await board.open(Listener())
    assert "Install the agent" in caught.value.cure


def test_rate_and_line_time_come_from_the_baud_rate(make_spec):
    from drivers.boards.serial import SerialOptions, serial_composition

    parts = serial_composition(make_spec("serial"), SerialOptions(port="/dev/null", baud=115200))
    assert parts.line_bytes_per_s == 11520
    assert parts.lossy


def test_a_relay_before_a_serial_board_is_checked_like_any_other(make_spec):
    with pytest.raises(ConfigError, match="delay"):
        serial(make_spec("serial", port="/dev/null", relay={"dealy_ms": 20}))
    assert (
        serial(make_spec("serial", port="/dev/null", relay={"delay_ms": 20}))._parts.link_origin == "emulated"
    )


def test_a_port_is_needed(make_spec):
    with pytest.raises(ConfigError, match="port"):
        serial(make_spec("serial"))
