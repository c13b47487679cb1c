"""A Jetson's power mode and clocks, set for a profile over SSH, are as before afterwards, however the profile ends.

The board is a virtual machine that outlives the command, reached by the driver of real ones.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from drivers.virtual.machine import jetson, nvpmodel
from drivers.virtual.machine.config import MachineConfig, write_config
from testbed.store.profiles import load_profile
from tests.flow.conftest import ROOT, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = """
schema = 1
name = "standing"
state = "state"
lease_s = 4
[boards.orin]
kind = "jetson"
host = "{host}"
port = {port}
user = "{user}"
identity = "{identity}"
fingerprint = "{fingerprint}"
transport = "paramiko"
site = "edge"
models = ["cnn-small"]
"""
QUICK = ("--loads", 1, "--energy-s", 0, "--accuracy-s", 0.2)
LONG = ("--repeats", 100_000)
MODE = "pmode:0001"
LIMITS = ("510000000", "510000000")
"""As jetson_clocks leaves them: held, and none that a mode would set."""


class Orin:
    """The machine, and what its files say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        jetson.lay_out(self.root)
        for name, text in zip(("min_freq", "max_freq"), LIMITS, strict=True):
            (self.root / jetson.GPU / name).write_text(text)
        profile = load_profile(ROOT / "hwprofiles/virtual-jetson/cnn-small.toml")
        config = MachineConfig(
            name="orin", root=self.root, seed=3, profiles={"cnn-small": profile}, rails=jetson.RAILS
        )
        config.home.mkdir(parents=True)
        write_config(config, folder / "machine.json")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "drivers.virtual.machine.ssh_host", str(folder / "machine.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        offer = json.loads(self._process.stdout.readline())
        (folder / "lab.toml").write_text(LAB.format(**offer))

    @property
    def mode(self) -> str:
        return (self.root / nvpmodel.STATUS).read_text().strip()

    @property
    def limits(self) -> tuple[str, ...]:
        return tuple((self.root / jetson.GPU / name).read_text().strip() for name in ("min_freq", "max_freq"))

    def profile(self, *more: object) -> subprocess.Popen[str]:
        given = (
            "profile",
            "orin",
            "cnn-small",
            "--lab",
            "lab.toml",
            "--power-mode",
            2,
            "--out",
            "o/cnn-small.toml",
        )
        return start(*map(str, (*given, *QUICK, *more)), cwd=self.folder)

    def kill_agents(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write('{"do": "kill_agent"}\n')
        self._process.stdin.flush()
        assert "error" not in json.loads(self._process.stdout.readline())

    def blocks(self) -> int:
        file = self.folder / "o/cnn-small.journal.jsonl"
        return file.read_text().count('"type":"block"') if file.exists() else 0

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.communicate(timeout=20)


@pytest.fixture
def orin(tmp_path: Path) -> Iterator[Orin]:
    machine = Orin(tmp_path)
    yield machine
    machine.close()


def until(true: object, what: str) -> None:
    assert callable(true)
    limit = time.monotonic() + 60
    while not true():
        assert time.monotonic() < limit, what
        time.sleep(0.02)


def as_before(orin: Orin) -> bool:
    return orin.mode == MODE and orin.limits == LIMITS


@pytest.mark.timeout(200)
def test_put_back_after_the_end_ctrl_c_and_both_ends_killed(orin: Orin) -> None:
    running = orin.profile(*LONG)
    until(lambda: orin.blocks() > 2, "it does not begin")
    assert orin.mode == "pmode:0002"
    assert orin.limits[1] == "1020000000"
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert as_before(orin)

    # The host is gone, its agent finds the end of the line and puts everything back.
    running = orin.profile(*LONG, "--resume")
    until(lambda: orin.mode != MODE, "it does not go on")
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    until(lambda: as_before(orin), "the agent did not put it back")

    # Both are gone: the next agent finds what was there before, in its file.
    running = orin.profile(*LONG, "--resume", "--wait", 30)
    until(lambda: orin.mode != MODE, "it does not go on")
    os.kill(running.pid, signal.SIGSTOP)  # or it would connect again
    orin.kill_agents()
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    assert not as_before(orin)
    (orin.folder / "o/cnn-small.journal.jsonl").unlink()
    running = orin.profile("--repeats", 20, "--wait", 30)
    _, said = running.communicate(timeout=100)
    assert running.returncode == 0, said
    assert as_before(orin)
    made = load_profile(orin.folder / "o/cnn-small.toml")
    assert made.provenance is not None
    assert made.provenance.power_mode == "2 (MAXN_SUPER)"
    assert made.provenance.clocks["clock:17000000.gpu"].startswith("306000000:1020000000:")


@pytest.mark.timeout(100)
def test_a_mode_that_needs_a_reboot_is_refused_and_nothing_is_changed(orin: Orin) -> None:
    running = start(
        *(
            "profile",
            "orin",
            "cnn-small",
            "--lab",
            "lab.toml",
            "--power-mode",
            "3",
            "--out",
            "o/cnn-small.toml",
        ),
        cwd=orin.folder,
    )
    _, said = running.communicate(timeout=60)
    assert running.returncode == 3
    assert "needs a reboot of the board" in said
    assert as_before(orin)
