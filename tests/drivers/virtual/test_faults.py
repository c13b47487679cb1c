from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from drivers.virtual.faults import Faults

if TYPE_CHECKING:
    from drivers.virtual.far_side import FarSide


class Recorder:
    def __init__(self) -> None:
        self.orders: list[tuple[str, dict[str, object]]] = []

    async def order(self, name: str, **arguments: object) -> None:
        self.orders.append((name, arguments))


def test_each_fault_is_one_order() -> None:
    far_side = Recorder()
    faults = Faults(cast("FarSide", far_side))

    async def main() -> None:
        await faults.cut(0.5)
        await faults.garble(8, flip=True, towards="board")
        await faults.stall(1.0)
        await faults.step_clock(-0.5)
        await faults.kill_agent()
        await faults.reboot()

    asyncio.run(main())
    assert far_side.orders == [
        ("cut", {"seconds": 0.5}),
        ("garble", {"count": 8, "flip": True, "towards": "board"}),
        ("stall", {"seconds": 1.0}),
        ("step_clock", {"seconds": -0.5}),
        ("kill_agent", {}),
        ("reboot", {}),
    ]
