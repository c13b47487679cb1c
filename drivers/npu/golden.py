"""Golden model: what the device computes, command by command, in integers; the oracle of RTL and compiler.

Holds the on-chip memories and executes a command list on a whole batch of images at once, without time: waits
and cycles are not its business. What the engines compute is in :mod:`drivers.npu.arithmetic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivers.npu import arithmetic
from drivers.npu.isa import (
    CLASSES_MOST,
    LANES,
    ROWS,
    UNIT_BYTES,
    Add,
    AvgPool,
    Base,
    Command,
    CommandError,
    Conv,
    End,
    Exit,
    Load,
    MaxPool,
    Memory,
    Overlay,
    Store,
)
from drivers.npu.packing import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from drivers.npu.arithmetic import Floats, Int8
    from drivers.npu.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run leaves in its record: exit number, label, sum of the confidence table, logits int8 (classes,).

    ``32768 / total`` is the largest softmax probability.
    """

    exit: int
    label: int
    total: int
    logits: Int8


class Device:
    """Memories and engines for ``images`` runs side by side; weights and parameters are theirs together.

    Attributes:
        act: activations int8 (images, words, 8).
        output: what STORE wrote, uint8 (images, output bytes).
    """

    def __init__(
        self,
        program: bytes,
        overlay: Overlay | None = None,
        *,
        images: int = 1,
        output_bytes: int = 0,
    ) -> None:
        """Memories start as zeros. ``program`` is what PROGRAM_BASE points to."""
        self.overlay = overlay or Overlay()
        self._program = np.frombuffer(program, np.uint8)
        self._wgt = np.zeros((self.overlay.wgt_words, ROWS * LANES), np.int8)
        self._par = np.zeros(self.overlay.par_channels, PARAMETERS)
        self._tab = np.zeros((self.overlay.tables, 256), np.uint16)
        self._matrices: dict[tuple[int, int, int, int], Floats] = {}
        self._memories = {Memory.WGT: self._wgt, Memory.PAR: self._par, Memory.TAB: self._tab}
        self._output_bytes = output_bytes
        self.act: Int8 = np.zeros((0, self.overlay.act_words, LANES), np.int8)
        self.begin(np.zeros((images, 0), np.int8))

    def begin(self, inputs: Int8, limits: Sequence[int] = (), mask: int = 0) -> None:
        """Prepare a run: ``inputs`` int8 (images, bytes) at INPUT_BASE, EXIT_LIMIT and MASK as registers hold them.

        Activations of an earlier run stay, as they do on the device.
        """
        count = len(inputs)
        if count != len(self.act):
            self.act = np.zeros((count, self.overlay.act_words, LANES), np.int8)
        self.output = np.zeros((count, self._output_bytes), np.uint8)
        self._inputs = inputs
        self._limits = (*limits, *[0] * (4 - len(limits)))
        self._lost = np.array([bool(mask >> row & 1) for row in range(256)])
        self._running = np.arange(count)
        self._last: list[Result | None] = [None] * count
        self._left: list[Result | None] = [None] * count

    @property
    def results(self) -> list[Result | None]:
        """Per image what its record says, or ``None`` where no EXIT was reached."""
        return self._left

    def execute(
        self, commands: Iterable[Command], watch: Callable[[int, Command], None] | None = None
    ) -> None:
        """Execute a list to its END or until every image has left; ``watch`` is called after each command.

        Raises:
            CommandError: an address or length that the device would refuse, by command number.
        """
        for number, command in enumerate(commands):
            if isinstance(command, End):
                for image in self._running:
                    self._left[image] = self._last[image]
                return
            try:
                self._one(command)
            except CommandError as error:
                raise CommandError(f"command {number} (tag {command.tag}): {error.message}") from error
            if watch is not None:
                watch(number, command)
            if not len(self._running):
                return

    def _one(self, command: Command) -> None:
        match command:
            case Conv():
                self._conv(command)
            case Add():
                self._add(command)
            case MaxPool():
                self._maxpool(command)
            case AvgPool():
                self._avgpool(command)
            case Exit():
                self._exit(command)
            case Load():
                self._load(command)
            case Store():
                self._store(command)

    def _region(self, address: int, words: int) -> Int8:
        """Activations of the images still running, int8 (n, words, 8)."""
        self._within(Memory.ACT, address, words)
        return self.act[: len(self._running), address : address + words]

    def _within(self, memory: Memory, address: int, units: int) -> None:
        if units < 1 or address + units > self.overlay.size(memory):
            raise CommandError(
                f"{units} units from {address} leave {memory.name}, which has {self.overlay.size(memory)}"
            )

    def _load(self, command: Load) -> None:
        memory = Memory(command.memory)
        unit = UNIT_BYTES[memory]
        if command.length % unit:
            raise CommandError(f"a length of {command.length} is no multiple of {memory.name}'s {unit}")
        units = command.length // unit
        self._within(memory, command.address, units)
        end = command.offset + command.length
        from_input = command.base == Base.INPUT
        source = self._inputs[self._running].view(np.uint8) if from_input else self._program[None, :]
        if end > source.shape[1]:
            raise CommandError(f"{command.length} bytes from {command.offset} leave what lies in DDR")
        taken = np.ascontiguousarray(source[:, command.offset : end])
        if memory is Memory.ACT:
            words = taken.view(np.int8).reshape(len(taken), units, LANES)
            self._region(command.address, units)[:] = words
            if command.masked and from_input and self._lost.any():
                rows = np.arange(units) // command.width % command.rows
                self._region(command.address, units)[:, self._lost[rows]] = command.neutral
            return
        if len(taken) != 1:
            raise CommandError(f"{memory.name} is loaded from the program only")
        place = self._memories[memory]
        values = taken[0].view(place.dtype).reshape(units, *place.shape[1:])
        if memory is Memory.PAR:
            arithmetic.check_parameters(values)
        place[command.address : command.address + units] = values
        if memory is Memory.WGT:
            self._matrices.clear()

    def _store(self, command: Store) -> None:
        words = self._region(command.address, command.length // LANES)
        end = command.offset + command.length
        if end > self.output.shape[1]:
            raise CommandError(f"{command.length} bytes to {command.offset} leave the output in DDR")
        self.output[self._running, command.offset : end] = words.reshape(len(words), -1).view(np.uint8)

    def _planes(self, address: int, groups: int, height: int, width: int) -> Int8:
        """The same as planes, int8 (n, groups, height, width, 8)."""
        words = self._region(address, groups * height * width)
        return words.reshape(len(words), groups, height, width, LANES)

    def _matrix(self, command: Conv) -> Floats:
        """A convolution's weights, made once."""
        key = (command.weights, command.in_groups, command.out_groups, command.kernel)
        if key not in self._matrices:
            words = command.out_groups * command.in_groups * command.kernel**2
            self._within(Memory.WGT, command.weights, words)
            self._matrices[key] = arithmetic.weight_matrix(
                self._wgt[command.weights : command.weights + words], command.out_groups
            )
        return self._matrices[key]

    def _conv(self, command: Conv) -> None:
        matrix = self._matrix(command)
        planes = self._planes(command.source, command.in_groups, command.in_height, command.in_width)
        channels = command.out_groups * ROWS
        self._within(Memory.PAR, command.channel, channels)
        parameters = self._par[command.channel : command.channel + channels]
        groups = channels // LANES
        target = self._planes(command.target, groups, command.out_height, command.out_width)
        target[:] = arithmetic.convolve(planes, matrix, parameters, command)

    def _add(self, command: Add) -> None:
        a, b = self._region(command.a, command.words), self._region(command.b, command.words)
        self._region(command.target, command.words)[:] = arithmetic.add(a, b, command)

    def _maxpool(self, command: MaxPool) -> None:
        planes = self._planes(command.source, command.groups, command.height, command.width)
        rows, columns = command.height // command.kernel, command.width // command.kernel
        self._planes(command.target, command.groups, rows, columns)[:] = arithmetic.maxpool(planes, command)

    def _avgpool(self, command: AvgPool) -> None:
        planes = self._planes(command.source, command.groups, command.height, command.width)
        self._region(command.target, command.groups)[:] = arithmetic.avgpool(planes, command)

    def _exit(self, command: Exit) -> None:
        if not 1 <= command.classes <= CLASSES_MOST or not 0 <= command.number < len(self._limits):
            raise CommandError(f"exit {command.number} with {command.classes} classes is not possible")
        self._within(Memory.TAB, command.table, 1)
        words = self._region(command.source, -(-command.classes // LANES))
        logits = words.reshape(len(words), -1)[:, : command.classes].copy()
        labels = logits.argmax(1)
        totals = arithmetic.softmax_totals(logits, self._tab[command.table])
        leaves = totals <= self._limits[command.number]
        if command.last:
            leaves[:] = True
        for row, image in enumerate(self._running):
            result = Result(
                exit=command.number, label=int(labels[row]), total=int(totals[row]), logits=logits[row]
            )
            self._last[image] = result
            if leaves[row]:
                self._left[image] = result
        if leaves.any():
            stay = np.flatnonzero(~leaves)
            self.act[: len(stay)] = self.act[stay]
            self._running = self._running[stay]


class Golden:
    """A program made ready on a device of its own: its setup list is executed once."""

    def __init__(self, program: Program, overlay: Overlay | None = None) -> None:
        """Load what stays resident.

        Raises:
            CommandError: the program does not fit ``overlay``, or does something that it refuses.
        """
        self.device = Device(program.image, overlay)
        lacking = program.lacks(self.device.overlay)
        if lacking:
            raise CommandError(f"the overlay is too small: {lacking}")
        self.device.execute(program.setup)
        self._run = program.run
        self._bytes = program.input.bytes

    def run(self, inputs: Int8, limits: Sequence[int] = (), mask: int = 0) -> list[Result]:
        """Answer a batch.

        Args:
            inputs: int8 (n, input bytes) in the layout of ``Program.input``.
            limits: EXIT_LIMIT by exit number; what is missing is 0, never leave.
            mask: bit y set for a lost row y.
        """
        if inputs.ndim != 2 or inputs.shape[1] != self._bytes:
            raise CommandError(f"inputs have shape {inputs.shape}, not (n, {self._bytes})")
        self.device.begin(inputs, limits, mask)
        self.device.execute(self._run)
        results = [result for result in self.device.results if result is not None]
        if len(results) != len(inputs):
            raise CommandError("the program ends without an exit")
        return results
