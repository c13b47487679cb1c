"""The logic of a virtual board in a run: remembered answers, measured cycles, and a sample of it for the audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.virtual.pynq.cycles import CycleTable, read_cycles
from drivers.virtual.pynq.fabric import FabricLogic, FaultyFabric
from drivers.virtual.pynq.golden_fabric import GoldenExecutor
from drivers.virtual.pynq.memory import Arena
from drivers.virtual.pynq.model_fabric import ModelFabric
from drivers.virtual.pynq.remembered import Remembered, read_remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from drivers.agent.runtimes.overlay.logic import Logic
    from drivers.agent.runtimes.overlay.manifest import Manifest
    from drivers.virtual.pynq.audit import Audit
    from drivers.virtual.pynq.fabric import Fault
    from drivers.virtual.pynq.model_fabric import Ended, Start

ARENA_BYTES = 16 << 20


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A program that the board may be given: how large its input is, its cycles, and its answers if there are any."""

    file: Path
    input_bytes: int
    cycles: CycleTable
    answers: Remembered | None


class LiveExecutor:
    """Executes a start: looked up if its input is known and no row was lost, else by the integer model.

    Programs are told apart by the mark that the driver leaves in the overlay's scratch register.
    """

    def __init__(self, programs: Iterable[Path], audit: Audit | None = None) -> None:
        """Read what is known of each program.

        Raises:
            ConfigError: a program has no cycles, or what lies beside it belongs to another one.
            ProgramError: a file is no program.
        """
        self._known: dict[int, Known] = {}
        for file in programs:
            program = read_program(file.read_bytes())
            self._known[int(program.sha256[:8], 16) or 1] = Known(
                file=file,
                input_bytes=program.input.size,
                cycles=read_cycles(file, program.sha256, len(program.exits)),
                answers=read_remembered(file, program.sha256),
            )
        self._golden = GoldenExecutor()
        self._audit = audit

    def __call__(self, arena: Arena, start: Start) -> Ended:
        """One start."""
        known = self._known.get(start.key)
        if known is None:  # a setup: the mark is left behind it
            return self._golden(arena, start)
        given = arena.at(start.given, known.input_bytes).tobytes()
        ended = None
        if known.answers is not None and not start.mask:
            ended = known.answers.find(given, start.limits)
        if ended is None:
            ended = self._golden(arena, start)
            if ended.error or not ended.logits:
                return ended
        cycles, stalls = known.cycles.of(ended.exit)
        ended = msgspec.structs.replace(ended, cycles=cycles, stalls=stalls)
        if self._audit is not None:
            self._audit.offer(known.file, given, start, ended)
        return ended


def live_logic(
    programs: Iterable[Path],
    audit: Audit | None = None,
    *,
    clock_hz: float = 100e6,
    faults: Mapping[int, Fault] | None = None,
) -> Callable[[Manifest, Sequence[str]], Logic]:
    """Opens the logic of a virtual board for the agent's runtime.

    Args:
        faults: by the number of the start that they meet, see `drivers.virtual.pynq.fabric.FaultyFabric`.

    Raises:
        ConfigError, ProgramError: as `LiveExecutor`.
    """
    executor = LiveExecutor(programs, audit)

    def open_logic(manifest: Manifest, files: Sequence[str]) -> Logic:
        memory = Arena(np.zeros(ARENA_BYTES, np.uint8))
        fabric = FaultyFabric(ModelFabric(memory, executor, clock_hz=clock_hz), faults)
        return FabricLogic(fabric, manifest.ip)

    return open_logic
