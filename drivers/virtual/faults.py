"""Faults on order: what a test does to a virtual board, and waits until it has happened."""

from __future__ import annotations

from typing import Literal

from drivers.virtual.far_side import FarSide

Towards = Literal["host", "board"]


class Faults:
    """The faults of one virtual board. All raise `BoardError` while its far side does not run."""

    def __init__(self, far_side: FarSide) -> None:
        """Aim at one far side."""
        self._far_side = far_side

    async def cut(self, seconds: float = 0.0) -> None:
        """Break the link without a word: connections are reset, or the cable is pulled for ``seconds``."""
        await self._far_side.order("cut", seconds=seconds)

    async def garble(self, count: int = 16, *, flip: bool = False, towards: Towards = "host") -> None:
        """Noise in the agent's stream.

        Args:
            count: bytes of noise, or bytes that are damaged.
            flip: damage bytes that pass from now on; otherwise put random bytes before the next ones.
            towards: which direction.
        """
        await self._far_side.order("garble", count=count, flip=flip, towards=towards)

    async def stall(self, seconds: float) -> None:
        """Silence in both directions for ``seconds``, or until a reboot; returns at once, and nothing is lost."""
        await self._far_side.order("stall", seconds=seconds)

    async def step_clock(self, seconds: float) -> None:
        """Let the board's clock jump, forwards or, below zero, backwards; nothing else of it changes."""
        await self._far_side.order("step_clock", seconds=seconds)

    async def kill_agent(self) -> None:
        """End the agent as ``kill -9`` would; the link's far end stays."""
        await self._far_side.order("kill_agent")

    async def reboot(self) -> None:
        """Restart the board: its agent dies, its boot id changes, its clock starts anew."""
        await self._far_side.order("reboot")
