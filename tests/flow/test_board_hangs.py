"""A board that hangs until its power is cycled: lost, quarantined, switched, recognised, back in service, all noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from testbed import resources
from testbed.campaign.bench import profile_lookup
from testbed.campaign.data import TaskData
from testbed.cli.leases import lease_rows
from testbed.coordinator.boards import board_specs
from testbed.coordinator.inventory import Inventory
from testbed.coordinator.labfile import RecoveryTable, read_lab
from testbed.coordinator.recovery import Standing
from testbed.store.schema import Note

TASK = "image-classification/fashion-mnist"


class Outlet:
    """A switch in front of a virtual board: power that returns restarts it."""

    def __init__(self) -> None:
        self.faults: Any = None
        self.orders: list[str] = []
        self.look: Callable[[], object] = lambda: None

    async def off(self) -> None:
        raise NotImplementedError

    async def on(self) -> None:
        raise NotImplementedError

    async def cycle(self) -> None:
        self.orders.append("cycle")
        await asyncio.to_thread(self.look)
        await self.faults.reboot()


async def until_lost(heard: list[Note]) -> None:
    async with asyncio.timeout(60):
        while not any("→ lost" in note.text for note in heard):  # noqa: ASYNC110 - a list tells nobody that it grew
            await asyncio.sleep(0.02)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", ["jetson", "mcu"])
async def test_a_hanging_board_returns_by_its_power_switch(tmp_path: Path, name: str) -> None:
    lab = read_lab(resources.lab("virtual"))
    table, options = lab.boards[name]
    lab = msgspec.structs.replace(
        lab,
        boards={
            name: (
                msgspec.structs.replace(table, lease=f"the {name}"),
                options | {"silence_ms": 900, "connect_timeout_ms": 3000},
            )
        },
        recovery=RecoveryTable(grace_s=0.5, attempts=3, return_s=30),
        state=tmp_path / "leases",
        lease_s=60,
    )
    data, outlet, heard = TaskData(TASK, None), Outlet(), list[Note]()
    specs = board_specs(lab, data.models, profile_lookup(lab), tmp_path, 1)
    inventory = Inventory(specs, lab, switches={name: outlet})
    inventory.notes.into(heard.append)
    try:
        await inventory.open()
        board: Any = inventory.boards[name]
        outlet.faults = board.faults
        shown: list[str] = []
        outlet.look = lambda: shown.append(lease_rows(lab)[name]["told"])
        first = inventory.facts[name].boot_id
        await outlet.faults.stall(600)
        await until_lost(heard)
        await inventory.recovery.settled()
        assert inventory.recovery.state(name) is Standing.IN_SERVICE
        assert outlet.orders[:1] == ["cycle"]
        assert "held by" in shown[0]
        assert "the board is quarantined: it did not come back by itself within 0.5 s" in shown[0], (
            "for all to see"
        )
        await inventory.leasing.check()  # behind what was told last
        assert "the board is" not in lease_rows(lab)[name]["told"], "back in service"
        done = await inventory.execute(name, table.models[0], np.ascontiguousarray(data.images[:1]), (0,))
        assert len(done.execution.items) == 1
    finally:
        await inventory.close()
    told = "\n".join(note.text for note in heard)
    states = ("in service → lost", "lost → quarantined", "power cycled, attempt 1 of 3")
    last = -1
    for text in (*states, f"boot {first} is now", "quarantined → in service: the same board answers again"):
        assert told.find(text, last + 1) > last, f"{text!r} is missing or out of order in\n{told}"
        last = told.find(text, last + 1)


@pytest.mark.timeout(90)
async def test_an_agent_that_is_killed_needs_no_switch(tmp_path: Path) -> None:
    lab = read_lab(resources.lab("virtual"))
    lab = msgspec.structs.replace(lab, boards={"jetson": lab.boards["jetson"]})
    data, outlet, heard = TaskData(TASK, None), Outlet(), list[Note]()
    specs = board_specs(lab, data.models, profile_lookup(lab), tmp_path, 1)
    inventory = Inventory(specs, lab, switches={"jetson": outlet})
    inventory.notes.into(heard.append)
    try:
        await inventory.open()
        board: Any = inventory.boards["jetson"]
        await board.faults.kill_agent()
        await until_lost(heard)
        await inventory.recovery.settled()
    finally:
        await inventory.close()
    assert outlet.orders == []
