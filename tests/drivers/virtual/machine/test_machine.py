from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from drivers.agent.bundle import build_agent
from drivers.virtual.machine.clock import Offset
from drivers.virtual.machine.config import MachineConfig, write_config
from drivers.virtual.machine.machine import Machine, clock_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    config = MachineConfig(name="board", root=tmp_path, seed=1, profiles={}, boot_ms=100)
    config.home.mkdir(parents=True)
    write_config(config, tmp_path / "machine.json")
    build_agent(tmp_path / "agent.pyz")
    return Machine(config, tmp_path / "machine.json")


def test_every_boot_has_an_id_of_its_own_and_the_same_for_the_same_seed(
    machine: Machine, tmp_path: Path
) -> None:
    first = machine.boot_id
    asyncio.run(machine.reboot())
    assert machine.boot_id != first
    again = Machine(
        MachineConfig(name="board", root=tmp_path, seed=1, profiles={}), tmp_path / "machine.json"
    )
    other = Machine(
        MachineConfig(name="board", root=tmp_path, seed=2, profiles={}), tmp_path / "machine.json"
    )
    assert again.boot_id == first != other.boot_id


def test_an_agent_ends_with_its_input(machine: Machine, tmp_path: Path) -> None:
    async def main() -> int:
        process = await machine.spawn(tmp_path / "agent.pyz", ["--stdio", "--state", str(tmp_path / "state")])
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(40):
            await process.wait()
        return await machine.reap(process)

    assert asyncio.run(main()) == 0


def test_killing_ends_what_runs_and_reaping_helps_along(machine: Machine, tmp_path: Path) -> None:
    async def main() -> tuple[int | None, int]:
        arguments = ["--stdio", "--state", str(tmp_path / "state")]
        killed = await machine.spawn(tmp_path / "agent.pyz", arguments)
        await machine.kill()
        left = await machine.spawn(tmp_path / "agent.pyz", arguments)
        return killed.returncode, await machine.reap(left)

    assert asyncio.run(main()) == (-9, -9)


def test_a_program_that_is_not_there_ends_with_an_error(machine: Machine, tmp_path: Path) -> None:
    async def main() -> int:
        process = await machine.spawn(tmp_path / "none.pyz", ["--stdio"])
        async with asyncio.timeout(40):
            await process.wait()
        return await machine.reap(process)

    assert asyncio.run(main()) > 0


def test_the_clock_steps_where_its_agents_read_it_and_starts_anew_with_a_boot(
    machine: Machine, tmp_path: Path
) -> None:
    offset = Offset(clock_file(tmp_path / "machine.json"))
    assert offset() == 0
    machine.step_clock(-1.5)
    machine.step_clock(0.25)
    assert offset() == -1_250_000_000
    begun = time.monotonic_ns()
    asyncio.run(machine.reboot())
    assert begun <= -offset() - 100_000_000 <= time.monotonic_ns()
