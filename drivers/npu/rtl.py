"""Programs on the simulated RTL, the way a driver runs them: memory laid out, registers written, the record read back.

The counterpart of :mod:`drivers.npu.golden`, with cycles: same inputs, same results, bit for bit.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from drivers.npu import registers as reg
from drivers.npu.golden import Result
from drivers.npu.isa import encode_list
from drivers.npu.simulator import Simulator
from testbed.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.npu.arithmetic import Int8
    from drivers.npu.isa import Command
    from drivers.npu.program import Program

MOST_CYCLES = 3_000_000
"""No program takes as long; what runs longer hangs."""
_RECORD = struct.Struct("<IIIIQQII")


class NpuError(BoardError):
    """The overlay stopped with an error.

    Attributes:
        code: register ERROR; 0 if it did not stop at all.
        tag: of the command at fault.
        response: of the AXI bus, for codes 3 and 4.
    """

    def __init__(self, message: str, *, code: int, tag: int, response: int) -> None:
        """Keep the register's parts."""
        self.code, self.tag, self.response = code, tag, response
        super().__init__(message)


class Counters(Struct, frozen=True, kw_only=True):
    """What the overlay counted in one run, in clock cycles; ``docs/edge-npu.md`` says what each means."""

    cycles: int
    stall_axi: int
    busy_mac: int
    commands: int


class Rtl:
    """A simulated overlay, driven through its registers.

    Attributes:
        simulator: the overlay; faults are set there.
        counters: of the last run that ended well.
    """

    def __init__(self, simulator: Simulator | None = None) -> None:
        """On a simulator of its own with default parameters, or on the one given.

        Raises:
            SimulatorMissing: it cannot be built here.
        """
        self.simulator = simulator or Simulator()
        self.counters = Counters(cycles=0, stall_axi=0, busy_mac=0, commands=0)
        self._held: list[int] = []
        self._program: Program | None = None

    def execute(
        self,
        image: bytes,
        commands: Sequence[Command] | bytes,
        inputs: bytes = b"",
        *,
        limits: Sequence[int] = (),
        mask: int = 0,
        output_bytes: int = 0,
    ) -> tuple[Result, bytes]:
        """Run one command list on one input; the record and what STORE wrote (``output_bytes`` from its start).

        Args:
            image: what PROGRAM_BASE points to; the list is put behind it.
            commands: END or an EXIT that leaves has to come.

        Raises:
            NpuError: the overlay stopped with an error, or did not stop.
        """
        raw = commands if isinstance(commands, bytes) else encode_list(commands)
        offset = -(-len(image) // 64) * 64
        program = self._place(image.ljust(offset, b"\0") + raw)
        source = self._place(inputs or bytes(64))
        target = self._place(bytes(max(output_bytes, reg.RECORD_BYTES)))
        try:
            self.start(program, offset, len(raw) // 64, source, target, limits=limits, mask=mask)
            result = self.wait(target)
            view = self.simulator.arena.view(target, max(output_bytes, reg.RECORD_BYTES))
            return result, view.tobytes()
        finally:
            for address in (program, source, target):
                self.simulator.arena.free(address)

    def load(self, program: Program) -> None:
        """Put a program into memory and run its setup list, if it has one.

        Raises:
            NpuError: the setup stopped with an error.
        """
        for address in self._held:
            self.simulator.arena.free(address)
        sizes = (len(program.image), program.input.bytes, reg.RECORD_BYTES)
        self._held = [self.simulator.arena.allocate(size) for size in sizes]
        self.simulator.arena.view(self._held[0], len(program.image))[:] = np.frombuffer(
            program.image, np.uint8
        )
        self._program = program
        if program.sections.setup[1]:
            self.start(self._held[0], *program.sections.setup, self._held[1], self._held[2])
            self.wait(self._held[2])

    def run(self, inputs: Int8, limits: Sequence[int] = (), mask: int = 0) -> list[tuple[Result, Counters]]:
        """Answer inputs int8 (n, input bytes), one after another, on the program loaded.

        Raises:
            NpuError: a run stopped with an error.
            ValueError: no program is loaded, or the inputs have another size.
        """
        if self._program is None or inputs.ndim != 2 or inputs.shape[1] != self._program.input.bytes:
            raise ValueError(f"no program is loaded, or inputs of shape {inputs.shape} are not what it takes")
        answers = []
        for row in inputs:
            self.simulator.arena.view(self._held[1], row.size)[:] = row.view(np.uint8)
            self.start(
                self._held[0],
                *self._program.sections.run,
                self._held[1],
                self._held[2],
                limits=limits,
                mask=mask,
            )
            answers.append((self.wait(self._held[2]), self.counters))
        return answers

    def start(
        self,
        program: int,
        offset: int,
        commands: int,
        source: int,
        target: int,
        *,
        limits: Sequence[int] = (),
        mask: int = 0,
    ) -> None:
        """Write the registers and START; addresses are physical, ``offset`` counts from ``program``."""
        write = self.simulator.write
        for register, value in (
            (reg.PROGRAM_BASE, program),
            (reg.COMMANDS_OFFSET, offset),
            (reg.PROGRAM_COMMANDS, commands),
            (reg.INPUT_BASE, source),
            (reg.OUTPUT_BASE, target),
        ):
            write(register, value)
        for exit_number in range(reg.EXIT_LIMITS):
            write(reg.EXIT_LIMIT + 4 * exit_number, limits[exit_number] if exit_number < len(limits) else 0)
        for word in range(reg.MASKS):
            write(reg.MASK + 4 * word, mask >> 32 * word & 0xFFFF_FFFF)
        write(reg.CONTROL, reg.CONTROL_START)

    def wait(self, target: int, *, most_cycles: int = MOST_CYCLES) -> Result:
        """Let the run end and read its record at the physical address ``target``.

        Raises:
            NpuError: it stopped with an error, or did not stop within ``most_cycles``.
        """
        settled = self.simulator.run(most_cycles)
        read = self.simulator.read
        status = read(reg.STATUS)
        if not settled or status & reg.STATUS_ERROR or not status & reg.STATUS_DONE:
            code, info = read(reg.ERROR), read(reg.ERROR_INFO)
            said = reg.ERRORS.get(code, f"error {code}") if code else "no end"
            raise NpuError(
                f"the overlay stopped at tag {info & 0xFFFF}: {said}",
                code=code,
                tag=info & 0xFFFF,
                response=info >> reg.ERROR_INFO_RESPONSE_SHIFT & 3,
            )
        read64 = self.simulator.read64
        self.counters = Counters(
            cycles=read64(reg.CYCLES_LO),
            stall_axi=read64(reg.STALL_AXI_LO),
            busy_mac=read64(reg.BUSY_MAC_LO),
            commands=read(reg.COMMANDS),
        )
        raw = self.simulator.arena.view(target, reg.RECORD_BYTES)
        magic, number, label, total, *_ = _RECORD.unpack_from(raw.tobytes())
        if magic != reg.RECORD_MAGIC:
            raise NpuError("DONE without a result record in memory", code=0, tag=0, response=0)
        return Result(exit=number, label=label, total=total, logits=raw[64:].view(np.int8).copy())

    def soft_reset(self, *, most_cycles: int = 10_000) -> bool:
        """Ask for a soft reset; whether the overlay is idle after at most so many cycles."""
        self.simulator.write(reg.CONTROL, reg.CONTROL_SOFT_RESET)
        return self.simulator.run(most_cycles)

    def _place(self, data: bytes) -> int:
        address = self.simulator.arena.allocate(len(data))
        self.simulator.arena.view(address, len(data))[:] = np.frombuffer(data, np.uint8)
        return address
