"""Faults of a virtual board on order, for plain functions; what each does is the virtual board's business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from testbed.units import S

if TYPE_CHECKING:
    from testbed.loop_thread import LoopThread
    from testbed.units import Ns

FAULT_LIMIT: Ns = 20 * S


class FaultOrders(Protocol):
    """What a virtual board lets itself be told; ``Board.faults`` on such a board."""

    async def cut(self, seconds: float = ...) -> None:
        """Break the link, and refuse it for so long."""

    async def garble(
        self, count: int = ..., *, flip: bool = ..., towards: Literal["host", "board"] = ...
    ) -> None:
        """Put noise on the link, or flip bits of what passes."""

    async def stall(self, seconds: float) -> None:
        """Carry nothing for so long; nothing is lost."""

    async def step_clock(self, seconds: float) -> None:
        """Let the board's clock jump."""

    async def kill_agent(self) -> None:
        """Kill the agent."""

    async def reboot(self) -> None:
        """Kill everything and start anew, with another boot id and clock."""


class Faults:
    """Breaks a virtual board on order; each call returns once it is broken."""

    def __init__(self, orders: FaultOrders, loop: LoopThread) -> None:
        """Nothing is broken yet."""
        self._orders = orders
        self._loop = loop

    def cut(self, seconds: float = 0.1) -> None:
        """Break the link, and refuse it for so long."""
        self._loop.call(self._orders.cut(seconds), FAULT_LIMIT)

    def garble(
        self, count: int = 16, *, flip: bool = False, towards: Literal["host", "board"] = "host"
    ) -> None:
        """Put ``count`` bytes of noise on the link, or flip a bit in so many; ``towards`` host or board."""
        self._loop.call(self._orders.garble(count, flip=flip, towards=towards), FAULT_LIMIT)

    def stall(self, seconds: float) -> None:
        """Carry nothing for so long; nothing is lost."""
        self._loop.call(self._orders.stall(seconds), FAULT_LIMIT)

    def step_clock(self, seconds: float) -> None:
        """Let the board's clock jump, forwards or, below zero, backwards."""
        self._loop.call(self._orders.step_clock(seconds), FAULT_LIMIT)

    def kill_agent(self) -> None:
        """Kill the agent, as ``kill -9`` would."""
        self._loop.call(self._orders.kill_agent(), FAULT_LIMIT)

    def reboot(self) -> None:
        """Kill everything and start anew, with another boot id and clock."""
        self._loop.call(self._orders.reboot(), FAULT_LIMIT)
