"""What an overlay answers, from the integer model: it executes the commands that lie in memory, as the overlay would.

The model is proved equal to the RTL bit for bit; cycles are not its business and come from a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from drivers.npu.golden import Device, Result
from drivers.npu.isa import COMMAND_BYTES, Command, CommandError, Exit, decode_list
from drivers.virtual.pynq.model_fabric import Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from drivers.virtual.pynq.memory import Arena
    from drivers.virtual.pynq.model_fabric import Start

Cycles: TypeAlias = "Callable[[int, int], tuple[int, int]]"
"""From the driver's mark of a program and the exit taken to cycles, and those of them that waited for the bus."""

_BAD_OPCODE, _BAD_ADDRESS = 1, 2
_LISTS_KEPT = 64


def no_cycles(key: int, exit_: int) -> tuple[int, int]:
    """Nobody counts."""
    return 0, 0


class GoldenExecutor:
    """Executes starts one after another; what is on chip stays until another program is set up."""

    def __init__(self, cycles: Cycles = no_cycles) -> None:
        """Nothing is on chip."""
        self._cycles = cycles
        self._device: Device | None = None
        self._base = -1
        self._lists: dict[bytes, tuple[Command, ...]] = {}

    def __call__(self, arena: Arena, start: Start) -> Ended:
        """One start; an unknown opcode or a wrong address is told by its code, as the overlay does."""
        try:
            commands = self._decoded(arena.at(start.program + start.offset, start.commands * COMMAND_BYTES))
        except CommandError:
            return Ended(error=_BAD_OPCODE)
        try:
            device = self._device_at(arena, start.program)
            result = execute(device, commands, arena.block(start.given), start)
        except CommandError:
            return Ended(error=_BAD_ADDRESS)
        if result is None:
            return Ended(cycles=self._cycles(start.key, -1)[0])
        cycles, stalls = self._cycles(start.key, result.exit)
        return Ended(
            exit=result.exit,
            label=result.label,
            total=result.total,
            logits=result.logits.tobytes(),
            cycles=cycles,
            stalls=stalls,
        )

    def _decoded(self, raw: npt.NDArray[np.uint8]) -> tuple[Command, ...]:
        key = raw.tobytes()
        found = self._lists.get(key)
        if found is None:
            if len(self._lists) >= _LISTS_KEPT:
                self._lists.clear()
            found = self._lists[key] = decode_list(key)
        return found

    def _device_at(self, arena: Arena, base: int) -> Device:
        if self._device is None or self._base != base:
            # The model reads memory in place, so that a program written there anew is the one that is loaded.
            self._device, self._base = Device(memoryview(arena.block(base)), images=1), base  # type: ignore[arg-type]
        return self._device


def execute(
    device: Device, commands: tuple[Command, ...], given: npt.NDArray[np.uint8], start: Start
) -> Result | None:
    """One start on the model; ``None`` for a list without an exit (a program's setup).

    Args:
        given: what lies at INPUT_BASE.

    Raises:
        CommandError: the device would refuse a command.
    """
    device.begin(given.view("int8")[None, :], start.limits, start.mask)
    device.execute(commands)
    if not any(isinstance(command, Exit) for command in commands):
        return None
    (result,) = device.results
    if result is None:
        raise CommandError("the program ended without an exit")
    return result
