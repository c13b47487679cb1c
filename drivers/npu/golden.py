"""Golden model: what the device computes, command by command, in integers; the oracle of RTL and compiler.

Holds the on-chip memories and executes a command list on a whole batch of images at once, without time: waits
and cycles are not its business. Sums of products go through floating-point matrix products where these are
exact (every partial sum below 2^24, or 2^53), everything else is integer arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from drivers.npu.program import Program

Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]

_EXACT_IN_FLOAT32 = 1 << 24
# Multiply-accumulates up to which OpenBLAS stays on one thread. Source: OpenBLAS, interface/gemm.c,
# SMP_THRESHOLD_MIN * GEMM_MULTITHREAD_THRESHOLD.
_UNTHREADED = 65536 * 4
_SHIFT_MOST, _MULTIPLIER_MOST = 62, (1 << 31) - 1
_PARAMETERS = np.dtype([("bias", "<i4"), ("multiplier", "<u4"), ("shift", "u1"), ("spare", "V7")])


def _slice(rows: int, most: int) -> int:
    """Largest divisor of ``rows`` up to ``most``, at least 1."""
    return next((size for size in range(min(rows, most), 1, -1) if rows % size == 0), 1)


def requantise(
    sums: npt.NDArray[np.integer],
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    zero_point: int,
    low: int,
    high: int,
) -> Int8:
    """``clamp((sums * multiplier + 2^(shift-1) >> shift) + zero_point, low, high)`` in 64 bits, half up.

    Args:
        sums: 32-bit accumulators, any shape; ``multiplier`` and ``shift`` broadcast against it.
        multiplier: 0 to 2^31 - 1.
        shift: 1 to 62.
    """
    right = np.asarray(shift, np.int64)
    value = sums.astype(np.int64) * np.asarray(multiplier, np.int64)
    value += np.int64(1) << (right - 1)
    value >>= right
    value += zero_point
    return np.clip(value, low, high, out=value).astype(np.int8)


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
        self._par = np.zeros(self.overlay.par_channels, _PARAMETERS)
        self._tab = np.zeros((self.overlay.tables, 256), np.uint16)
        self._matrices: dict[tuple[int, int, int, int], npt.NDArray[np.floating]] = {}
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
            _check(values)
        place[command.address : command.address + units] = values
        if memory is Memory.WGT:
            self._matrices.clear()

    def _store(self, command: Store) -> None:
        words = self._region(command.address, command.length // LANES)
        end = command.offset + command.length
        if end > self.output.shape[1]:
            raise CommandError(f"{command.length} bytes to {command.offset} leave the output in DDR")
        self.output[self._running, command.offset : end] = words.reshape(len(words), -1).view(np.uint8)

    def _matrix(self, command: Conv) -> npt.NDArray[np.floating]:
        """Weights (K, channels), K in the order group, ky, kx, lane; single precision if sums stay exact."""
        key = (command.weights, command.in_groups, command.out_groups, command.kernel)
        if key not in self._matrices:
            taps = command.in_groups * command.kernel**2
            self._within(Memory.WGT, command.weights, command.out_groups * taps)
            words = self._wgt[command.weights : command.weights + command.out_groups * taps]
            shaped = words.reshape(command.out_groups, taps, ROWS, LANES)
            whole = shaped.transpose(1, 3, 0, 2).reshape(taps * LANES, command.out_groups * ROWS)
            bound = int(np.abs(whole.astype(np.int64)).sum(0).max()) * 128
            kind = np.float32 if bound < _EXACT_IN_FLOAT32 else np.float64
            self._matrices[key] = np.ascontiguousarray(whole, kind)
        return self._matrices[key]

    def _conv(self, command: Conv) -> None:
        matrix = self._matrix(command)
        height, width, groups = command.out_height, command.out_width, command.in_groups
        planes = command.in_height * command.in_width
        given = self._region(command.source, groups * planes)
        count = len(given)
        images = given.reshape(count, groups, command.in_height, command.in_width, LANES)
        padded = self._padded(images, command, matrix.dtype)
        kernel, stride = command.kernel, command.stride
        n, g, y, x, _ = padded.strides
        # Windows share memory; one row of a window is kernel * 8 neighbours.
        windows = np.lib.stride_tricks.as_strided(
            padded,
            (count, height, width, groups, kernel, kernel * LANES),
            (n, y * stride, x * stride, g, y, padded.itemsize),
            writeable=False,
        )
        # In slices, since BLAS would start threads for the whole, which on a busy host wait for each other.
        rows = _slice(count * height * width, _UNTHREADED // matrix.size)
        sums = (windows.reshape(-1, rows, len(matrix)) @ matrix).astype(np.int64)
        channels = command.out_groups * ROWS
        self._within(Memory.PAR, command.channel, channels)
        par = self._par[command.channel : command.channel + channels]
        sums += par["bias"]
        y8 = requantise(
            sums, par["multiplier"], par["shift"], command.zero_point, command.low, command.high
        ).reshape(count, height * width, channels // LANES, LANES)
        target = self._region(command.target, channels // LANES * height * width)
        target[:] = y8.transpose(0, 2, 1, 3).reshape(target.shape)

    @staticmethod
    def _padded(images: Int8, command: Conv, kind: np.dtype[np.floating]) -> npt.NDArray[np.floating]:
        """Rows and columns that the windows touch, ``pad_value`` where there is no input."""
        count, groups = images.shape[:2]
        high = (command.out_height - 1) * command.stride + command.kernel
        wide = (command.out_width - 1) * command.stride + command.kernel
        padded = np.full((count, groups, high, wide, LANES), command.pad_value, kind)
        top, left = command.pad_top, command.pad_left
        taken = images[:, :, : max(0, high - top), : max(0, wide - left)]
        padded[:, :, top : top + taken.shape[2], left : left + taken.shape[3]] = taken
        return padded

    def _add(self, command: Add) -> None:
        a = self._region(command.a, command.words).astype(np.int64) - command.zero_a
        b = self._region(command.b, command.words).astype(np.int64) - command.zero_b
        value = a * command.multiplier_a + b * command.multiplier_b
        self._region(command.target, command.words)[:] = requantise(
            value, 1, command.shift, command.zero_point, command.low, command.high
        )

    def _maxpool(self, command: MaxPool) -> None:
        k, groups = command.kernel, command.groups
        rows, columns = command.height // k, command.width // k
        given = self._region(command.source, groups * command.height * command.width)
        planes = given.reshape(len(given), groups, command.height, command.width, LANES)
        squares = planes[:, :, : rows * k, : columns * k].reshape(
            len(given), groups, rows, k, columns, k, LANES
        )
        target = self._region(command.target, groups * rows * columns)
        target[:] = squares.max((3, 5)).reshape(target.shape)

    def _avgpool(self, command: AvgPool) -> None:
        area = command.height * command.width
        given = self._region(command.source, command.groups * area)
        sums = given.reshape(len(given), command.groups, area, LANES).sum(2, dtype=np.int64)
        sums -= area * command.zero_in
        self._region(command.target, command.groups)[:] = requantise(
            sums, command.multiplier, command.shift, command.zero_point, command.low, command.high
        )

    def _exit(self, command: Exit) -> None:
        if not 1 <= command.classes <= CLASSES_MOST or not 0 <= command.number < len(self._limits):
            raise CommandError(f"exit {command.number} with {command.classes} classes is not possible")
        self._within(Memory.TAB, command.table, 1)
        words = self._region(command.source, -(-command.classes // LANES))
        logits = words.reshape(len(words), -1)[:, : command.classes].copy()
        labels = logits.argmax(1)
        behind = logits.max(1, keepdims=True).astype(np.int64) - logits
        totals = self._tab[command.table][behind].sum(1, dtype=np.int64)
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


def _check(parameters: npt.NDArray[np.void]) -> None:
    """Raises CommandError for what the requantiser cannot do."""
    shift, multiplier = parameters["shift"], parameters["multiplier"]
    wrong = (shift < 1) | (shift > _SHIFT_MOST) | (multiplier > _MULTIPLIER_MOST)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise CommandError(f"channel {at} is multiplied by {multiplier[at]} and shifted by {shift[at]}")


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
