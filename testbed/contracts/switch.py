"""What every power switch promises, as tests: subclass `SwitchContract`, say how to make one and how to see its output.

The class brings asyncio itself, so a driver author needs pytest and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from testbed.contracts.bounds import run_unblocked
from testbed.errors import MeterError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from testbed.ports import PowerSwitch


class SwitchContract:
    """Subclass it, override ``switch``, ``history`` and ``broken``.

    Attributes:
        bound_s: no single order may take longer.
    """

    bound_s: float = 20.0

    @pytest.fixture
    def switch(self) -> PowerSwitch:
        """A switch whose output is off."""
        raise NotImplementedError

    @pytest.fixture
    def history(self) -> Callable[[], list[bool]]:
        """The states that its output has had since the beginning, oldest first; at least the present one."""
        raise NotImplementedError

    @pytest.fixture
    def broken(self) -> PowerSwitch:
        """A switch that cannot do it."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a test's coroutine with a bound."""

        async def bounded() -> None:
            async with asyncio.timeout(3 * self.bound_s):
                await work

        run_unblocked(bounded(), self.bound_s, "the switch")

    def test_on_and_off(self, switch: PowerSwitch, history: Callable[[], list[bool]]) -> None:
        """When an order returns, the output is as ordered."""

        async def work() -> None:
            for _ in range(2):
                await switch.on()
                assert history()[-1] is True
                await switch.off()
                assert history()[-1] is False

        self.run(work())

    def test_what_is_so_already_stays_so(
        self, switch: PowerSwitch, history: Callable[[], list[bool]]
    ) -> None:
        """Ordering it twice changes nothing, and is no error."""

        async def work() -> None:
            await switch.off()
            await switch.on()
            before = _changes(history())
            await switch.on()
            assert _changes(history()) == before
            assert history()[-1] is True

        self.run(work())

    def test_a_cycle_is_off_and_then_on(self, switch: PowerSwitch, history: Callable[[], list[bool]]) -> None:
        """From whatever state."""

        async def work() -> None:
            await switch.on()
            before = len(history())
            await switch.cycle()
            after = history()[before - 1 :]
            assert _changes(after) == [True, False, True]

        self.run(work())

    def test_orders_do_not_overlap(self, switch: PowerSwitch, history: Callable[[], list[bool]]) -> None:
        """The last of several orders given at once decides."""

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                for order in (switch.on, switch.off, switch.on):
                    group.create_task(order())
                    await asyncio.sleep(0)
            assert history()[-1] is True

        self.run(work())

    def test_a_switch_that_cannot_says_so(self, broken: PowerSwitch) -> None:
        """With `MeterError`, for each order, in bounded time."""

        async def work() -> None:
            for order in (broken.on, broken.off, broken.cycle):
                with pytest.raises(MeterError) as caught:
                    await order()
                assert str(caught.value)

        self.run(work())


def _changes(states: list[bool]) -> list[bool]:
    """The states without repetitions in a row."""
    return [state for k, state in enumerate(states) if k == 0 or state != states[k - 1]]
