import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.agent import lease as lease_module
from drivers.agent.facts import machine_name
from drivers.agent.lease import BoardLease
from testbed.wire import messages as m
from testbed.wire.claim import Claim, note_of
from tests.drivers.agent.conftest import infer

S = 1_000_000_000
IN_CHARGE = """
import sys, time
from pathlib import Path
from drivers.agent.lease import BoardLease
from testbed.wire.claim import Claim
{before}
assert BoardLease(Path(sys.argv[1])).admit(Claim(5, "ann", "store-a", {ttl})) is None
print("in charge", flush=True)
time.sleep(60)
"""


class Board:
    """A state folder, and agents on it that share one clock and one boot."""

    def __init__(self, folder):
        self.folder, self.t, self.boot = folder, 1000 * S, "boot-1"

    def agent(self, **options):
        return BoardLease(
            self.folder, now_ns=lambda: self.t, boot=lambda: self.boot, patience_s=0.5, **options
        )

    @staticmethod
    def end(agent):
        """What the kernel does when the process is gone."""
        if agent._charge >= 0:
            os.close(agent._charge)
            agent._charge = -1


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path / "state")


@pytest.fixture
def in_charge(tmp_path):
    """Starts a process that takes the lease with token 5 and stays."""
    running = []

    def start(before="", ttl=0):
        code = IN_CHARGE.format(before=before, ttl=ttl)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout.readline() == "in charge\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(10)
        process.stdout.close()


def ann(token, ttl_s=15):
    return Claim(token, "ann", "store-a", ttl_s * S)


def bob(token, ttl_s=15):
    return Claim(token, "bob", "store-b", ttl_s * S)


def test_tokens_of_one_issuer_only_rise_and_are_kept(board):
    agent = board.agent()
    admitted = [agent.admit(ann(token)) is None for token in (5, 5, 4, 7, 6)]
    assert admitted == [True, True, False, True, False]
    board.end(agent)
    refused = board.agent().admit(ann(6))
    assert refused.code == "fence"
    assert "ann" in refused.text


def test_a_torn_file_is_no_crash(board):
    board.agent()
    (board.folder / "lease").write_text('{"token": 12')
    assert board.agent().admit(ann(1)) is None


def test_anothers_lease_is_over_with_his_goodbye(board):
    agent = board.agent()
    agent.admit(ann(5))
    assert "ann holds this board" in agent.admit(bob(6), heard=True).text
    agent.leave(over=True)
    board.end(agent)
    assert board.agent().admit(bob(6)) is None


def test_anothers_lease_is_over_some_time_after_his_link_ended(board):
    agent = board.agent()
    agent.admit(ann(5))
    agent.leave(over=False)
    board.end(agent)
    board.t += 14 * S
    refused = board.agent().admit(bob(6))
    assert refused.code == "busy"
    assert "ann holds this board for another 1.0 s" in refused.text
    board.t += 2 * S
    late = board.agent()
    assert late.admit(bob(6)) is None
    assert late.admit(ann(5)).code == "fence"  # who wakes up late is refused


def test_a_holder_without_a_name_is_somebody(board):
    agent = board.agent()
    agent.admit(Claim(5, "", "store-a", 15 * S))
    assert agent.admit(bob(6), heard=True).text == "somebody holds this board"
    board.end(agent)


def test_within_that_time_the_holder_himself_comes_back(board):
    agent = board.agent()
    agent.admit(ann(5))
    agent.leave(over=False)
    board.end(agent)
    back = board.agent()
    assert back.admit(ann(5)) is None
    board.t += 100 * S
    assert back.admit(bob(6), heard=True).code == "busy"
    assert back.admit(bob(6), heard=False) is None


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
def test_an_agent_that_left_no_word_is_missed_from_the_first_claim_on(board, boot):
    agent = board.agent()
    agent.admit(ann(5))
    board.end(agent)  # kill -9, or the board lost its power
    board.boot = boot
    board.t = 7 * S
    for waited in (0, 10):
        board.t += waited * S
        assert board.agent().admit(bob(6)).code == "busy"
    board.t += 6 * S
    assert board.agent().admit(bob(6)) is None


def test_the_same_token_of_another_issuer_is_refused(board):
    agent = board.agent()
    agent.admit(ann(5))
    assert agent.admit(bob(5)).code == "fence"


def test_a_lease_that_cannot_be_kept_is_not_obeyed(board, monkeypatch):
    agent = board.agent()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lease_module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        agent.admit(ann(5))
    assert not (board.folder / "lease").exists()


@pytest.mark.parametrize(
    ("before", "ends"),
    [
        ("", -signal.SIGTERM),
        ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", -signal.SIGKILL),
    ],
)
def test_the_agent_in_charge_has_ended_before_the_next_is(board, in_charge, before, ends):
    old = in_charge(before)
    assert board.agent().admit(ann(6)) is None
    assert old.wait(5) == ends


def test_a_stopped_agent_does_not_hinder_its_successor(board, in_charge):
    old = in_charge()
    old.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 10
    while Path(f"/proc/{old.pid}/stat").read_text().split()[2] != "T" and time.monotonic() < until:
        time.sleep(0.01)
    assert board.agent().admit(ann(6)) is None
    assert old.wait(5) == -signal.SIGKILL


def test_the_agent_of_another_issuers_holder_is_left_alone(board, in_charge):
    old = in_charge(ttl=15 * S)
    refused = board.agent().admit(bob(6))
    assert refused.code == "busy"
    assert f"process {old.pid}" in refused.text
    assert old.poll() is None


def test_a_process_that_only_has_the_number_is_not_ended(board, in_charge):
    in_charge()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (board.folder / "lease.charge").write_text(str(bystander.pid))
        refused = board.agent().admit(ann(6))
        assert "cannot be reached" in refused.text
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(10)


def note(holder, issuer, ttl_ms=0):
    return note_of(Claim(0, holder, issuer, ttl_ms * 1_000_000))


def test_a_stale_holder_is_stopped_in_the_middle_and_refused_when_it_returns(start):
    old = start("--started")
    old.greet(fence=5, note=note("ann", "a"))
    old.load(sleep_ns=30_000_000_000)
    old.send(infer(1))
    old.expect(m.Started)
    new = start()
    new.greet(fence=6, note=note("bob", "a"))
    assert old.process.poll() is not None, "the old agent still runs although the new one has answered"
    again = start()
    again.hello(fence=5, note=note("ann", "a"))
    refused = again.expect(m.Refused)
    assert refused.code == "fence"
    assert "bob" in refused.text
    new.load()
    new.send(infer(1))
    new.expect(m.Done)


def test_a_stranger_waits_for_goodbye(start):
    host = start()
    host.greet(fence=5, note=note("ann", "a", 60_000))
    stranger = start()
    stranger.hello(fence=6, note=note("bob", "b", 60_000))
    assert "ann" in stranger.expect(m.Refused).text
    host.send(m.Bye())
    assert host.process.wait(10) == 0
    stranger.greet(fence=6, note=note("bob", "b", 60_000))


def test_a_silent_holder_loses_the_board(start, tmp_path):
    host = start()
    host.greet(fence=5, note=note("ann", "a", 300))
    goodbye = host.expect(m.Goodbye)
    assert "lease is over" in goodbye.reason
    assert host.process.wait(10) == 0
    assert json.loads((tmp_path / "state" / machine_name() / "lease").read_text())["over"] is True
    start().greet(fence=6, note=note("bob", "b", 300))
