"""The contract itself: a good switch passes, and each promise is noticed when it is broken."""

from __future__ import annotations

import asyncio
import time

import pytest

from testbed.contracts.switch import SwitchContract
from testbed.errors import MeterError


class Simple:
    """A switch in memory; `flaw` breaks one promise."""

    def __init__(self, flaw=""):
        self.flaw = flaw
        self.states = [False]

    async def on(self):
        if self.flaw == "toggles":
            self.states.append(not self.states[-1])
        elif self.flaw == "returns too early":
            asyncio.get_running_loop().call_later(0.05, self.states.append, True)
        else:
            self.states.append(True)

    async def off(self):
        if self.flaw == "blocks":
            time.sleep(600)  # noqa: ASYNC251 - the fault itself
        self.states.append(False)

    async def cycle(self):
        if self.flaw != "leaves it on":
            await self.off()
        if self.flaw != "leaves it off":
            await self.on()


class Broken:
    async def on(self):
        raise MeterError("no power here")

    off = cycle = on


class TestAGoodSwitch(SwitchContract):
    @pytest.fixture
    def switch(self):
        return Simple()

    @pytest.fixture
    def history(self, switch):
        return lambda: switch.states

    @pytest.fixture
    def broken(self):
        return Broken()


@pytest.mark.parametrize(
    ("flaw", "test"),
    [
        ("toggles", "test_what_is_so_already_stays_so"),
        ("returns too early", "test_on_and_off"),
        ("leaves it on", "test_a_cycle_is_off_and_then_on"),
        ("leaves it off", "test_a_cycle_is_off_and_then_on"),
    ],
)
def test_a_broken_promise_is_noticed(flaw, test):
    switch = Simple(flaw)
    with pytest.raises(AssertionError):
        getattr(SwitchContract(), test)(switch, lambda: switch.states)


def test_a_switch_that_fails_silently_is_noticed():
    with pytest.raises(pytest.fail.Exception):
        SwitchContract().test_a_switch_that_cannot_says_so(Simple())


@pytest.mark.usefixtures("no_alarm")
def test_an_order_that_blocks_the_event_loop_is_noticed():
    contract = SwitchContract()
    contract.bound_s = 2.0
    switch = Simple("blocks")
    with pytest.raises(AssertionError, match="the switch blocks the event loop"):
        contract.test_on_and_off(switch, lambda: switch.states)
