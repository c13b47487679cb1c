from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.virtual.far_side import FarSide
from drivers.virtual.machine.config import MachineConfig
from testbed.errors import BoardError

ROOT = Path(__file__).parents[3]


def far_side(folder: Path, module: str = "ssh_host") -> FarSide:
    config = MachineConfig(name="board", root=folder / "root", seed=1, profiles={})
    return FarSide(module, config, folder / "machine.json")


def test_it_starts_once_obeys_and_stops(tmp_path: Path) -> None:
    async def main() -> None:
        far = far_side(tmp_path)
        assert not far.running
        await far.start()
        port = far.offer["port"]
        await far.start()
        assert far.offer["port"] == port
        await far.order("stall", seconds=0.0)
        with pytest.raises(BoardError, match="unknown order") as caught:
            await far.order("dance")
        assert "reboot" in caught.value.message
        with pytest.raises(BoardError, match="TypeError"):
            await far.order("stall", minutes=1)
        await far.stop()
        await far.stop()
        assert not far.running
        with pytest.raises(BoardError, match="does not run"):
            await far.order("stall", seconds=0.0)

    asyncio.run(main())


def test_a_far_side_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    far = far_side(tmp_path, "no_such_module")
    with pytest.raises(BoardError, match="ended unexpectedly") as caught:
        asyncio.run(far.start())
    assert "no_such_module" in caught.value.traceback
    assert "machine.log" in caught.value.cure


def test_it_dies_with_the_coordinator(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from tests.drivers.virtual.test_far_side import far_side\n"
        "async def main():\n"
        "    far = far_side(Path(sys.argv[1])); await far.start(); print(far._child._process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as coordinator:
        assert coordinator.stdout is not None
        pid = int(coordinator.stdout.readline())
        coordinator.send_signal(signal.SIGKILL)
    for _ in range(1000):
        if not alive(pid):
            break
        time.sleep(0.01)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
