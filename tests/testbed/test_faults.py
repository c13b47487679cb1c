from __future__ import annotations

import pytest

from testbed.faults import Faults
from testbed.loop_thread import LoopThread


class Orders:
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        async def note(*given, **named):
            self.told.append((name, given, named))

        return note


@pytest.fixture
def loop():
    loop = LoopThread()
    yield loop
    loop.close()


def test_each_order_reaches_the_board_before_the_call_returns(loop):
    orders = Orders()
    faults = Faults(orders, loop)
    faults.cut(0.5)
    faults.garble(3, flip=True, towards="board")
    faults.stall(2.0)
    faults.step_clock(-1.5)
    faults.kill_agent()
    faults.reboot()
    assert orders.told == [
        ("cut", (0.5,), {}),
        ("garble", (3,), {"flip": True, "towards": "board"}),
        ("stall", (2.0,), {}),
        ("step_clock", (-1.5,), {}),
        ("kill_agent", (), {}),
        ("reboot", (), {}),
    ]


def test_a_board_that_does_not_carry_it_out_says_so(loop):
    class Refusing(Orders):
        async def reboot(self):
            raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        Faults(Refusing(), loop).reboot()
