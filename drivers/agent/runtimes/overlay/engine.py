"""Drives the edge-npu through its registers: identifies it, starts programs, waits within bounds, recovers.

==========  =====================================================  ================================================
state       how it gets there                                      what the next execution does
==========  =====================================================  ================================================
fresh       first use, soft reset, reload                          loads the program's weights (its setup commands)
resident    setup or run of a program ended well                   starts at once, if it is the same program
suspect     error, watchdog or time-out; recovery began at once    soft reset; if that does not help, reload
==========  =====================================================  ================================================

An execution that failed is not repeated here: whoever ordered it is told, and decides.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from drivers.agent.runtimes.overlay import registers as r
from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.program_file import RECORD_BYTES

if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from drivers.agent.runtimes.overlay.logic import Logic, Mmio
    from drivers.agent.runtimes.overlay.program_file import Program

ALWAYS, NEVER = 0xFFFFFFFF, 0
_RECORD = struct.Struct("<10I")
_LOGITS = 64  # offset in the record
_RESET_S = 0.1
_WATCHDOG_SLACK = 16  # times the compiler's estimate, beyond which the logic itself gives up


class Record(NamedTuple):
    """What one execution left: ``total`` is the sum that confidence is taken from; counters are in PL cycles."""

    exit: int
    label: int
    total: int
    cycles: int
    stalls: int
    logits: bytes


class Placed(NamedTuple):
    """A program in DDR, with the buffers of one item; ``key`` marks it in the overlay's scratch register."""

    program: Program
    key: int
    image: Any
    given: Any
    record: Any


class Engine:
    """The overlay's one lane.

    Attributes:
        recovered: how often it was brought back, by what helped.
    """

    def __init__(
        self, logic: Logic, ip: str, *, timeout_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Find the overlay in the logic and make sure that it is one.

        Args:
            timeout_s: bound of every execution, beside the overlay's own watchdog.

        Raises:
            OverlayError: it has no such IP, or something else answers there.
        """
        self._logic = logic
        self._regs: Mmio = logic.mmio(ip, r.WINDOW_BYTES)
        self._timeout_s = timeout_s
        self._clock = clock
        self._suspect = False
        self._resident = 0
        self._written: dict[int, int] = {}
        self.recovered = {"soft reset": 0, "reload": 0}
        self._identify()
        self._reset()

    def capabilities(self) -> dict[str, int]:
        """What the overlay in the logic has, by the names that programs use in what they require."""
        first, second = self._regs.read(r.CAPS0), self._regs.read(r.CAPS1)
        return {
            "rows": first & 0xFF,
            "lanes": first >> 8 & 0xFF,
            "act_words": (first >> 16) * 1024,
            "wgt_words": second & 0xFFFF,
            "par_channels": second >> 16,
            "tables": r.EXIT_LIMITS,
            "version": self._regs.read(r.VERSION),
        }

    def place(self, program: Program) -> Placed:
        """Put a program into memory that the overlay reaches.

        Raises:
            OverlayError: it needs more than the overlay has, or lies beyond what its 32-bit addresses reach.
        """
        has = self.capabilities()
        for name, need in sorted(program.requires.items()):
            exact = name in ("rows", "lanes")  # weights are laid out for them
            if name not in has or has[name] < need or (exact and has[name] != need):
                raise OverlayError(
                    f"the program of {program.model} needs {name} = {need}, the overlay has {has.get(name, 'none')}",
                    cure="Compile it for this overlay, or load an overlay that is large enough",
                )
        buffers: list[Any] = []
        for size in (len(program.image), program.input.size, program.record_bytes):
            buffers.append(self._logic.allocate(size))
            if buffers[-1].device_address + size > 1 << 32:
                for buffer in buffers:
                    buffer.freebuffer()
                raise OverlayError(
                    "memory was allocated beyond the first 4 GiB, which the overlay does not reach",
                    cure="Reserve contiguous memory (cma=) below 4 GiB on the kernel's command line",
                )
        image, given, record = buffers
        image[:] = memoryview(program.image)
        image.flush()
        return Placed(program, int(program.sha256[:8], 16) or 1, image, given, record)

    def free(self, placed: Placed) -> None:
        """Give a program's memory back."""
        if self._resident == placed.key:
            self._resident = 0
        for buffer in (placed.image, placed.given, placed.record):
            buffer.freebuffer()

    def set_up(self, placed: Placed) -> int:
        """Load a program's weights before they are needed; the cycles it took.

        Raises:
            OverlayError: the overlay reported an error or did not end in time.
        """
        self._set_up(placed)
        return self._cycles() if placed.program.setup.commands else 0

    def run(self, placed: Placed, limits: Sequence[int], mask: int = 0) -> Record:
        """Execute on what lies in ``placed.given``, which is flushed here.

        Args:
            limits: per exit, the largest sum that leaves there; `NEVER` and `ALWAYS` as they say.
            mask: bit y is set where row y of the input was lost.

        Raises:
            OverlayError: the overlay reported an error or did not end in time; it was brought back meanwhile if it
                could be.
        """
        if self._suspect:
            self._recover()
        program = placed.program
        try:
            if self._resident != placed.key:
                self._set_up(placed)
            for number in range(r.EXIT_LIMITS):
                self._put(r.EXIT_LIMIT + 4 * number, limits[number] if number < len(limits) else NEVER)
            for word in range(r.MASKS):
                self._put(r.MASK + 4 * word, mask >> 32 * word & 0xFFFFFFFF)
            placed.given.flush()
            expected = max(one.cycles for one in program.exits)
            self._execute(placed, program.run.offset, program.run.commands, expected)
            return self._record(placed)
        except OverlayError as error:
            self._suspect = True
            try:
                how = self._recover()
            except OverlayError as worse:
                raise OverlayError(
                    f"{error.message}; {worse.message}", code=error.code, cure=worse.cure
                ) from error
            raise OverlayError(
                f"{error.message}; brought back by {how}", code=error.code, cure=error.cure
            ) from error

    def _cycles(self) -> int:
        """Of the last command list, by the overlay's own counter."""
        return self._regs.read(r.CYCLES_LO) | self._regs.read(r.CYCLES_HI) << 32

    def _set_up(self, placed: Placed) -> None:
        self._resident = 0
        self._regs.write(r.PROGRAM_HASH, 0)
        setup = placed.program.setup
        if setup.commands:
            self._execute(placed, setup.offset, setup.commands, len(placed.program.image))
        self._resident = placed.key
        self._regs.write(r.PROGRAM_HASH, placed.key)

    def _execute(self, placed: Placed, offset: int, commands: int, expected: int) -> None:
        """Start a command list and wait for its end; ``expected`` cycles."""
        regs = self._regs
        placed.record[:4] = 0  # so that an earlier record is not taken for this one's
        placed.record.flush()
        self._put(r.PROGRAM_BASE, placed.image.device_address)
        self._put(r.COMMANDS_OFFSET, offset)
        self._put(r.PROGRAM_COMMANDS, commands)
        self._put(r.INPUT_BASE, placed.given.device_address)
        self._put(r.OUTPUT_BASE, placed.record.device_address)
        self._put(r.WATCHDOG, min(_WATCHDOG_SLACK * max(expected, 4096), 0xFFFFFFFF))
        regs.write(r.STATUS, r.STATUS_DONE | r.STATUS_ERROR)
        regs.write(r.CONTROL, r.CONTROL_START)
        self._wait(expected)

    def _put(self, offset: int, value: int) -> None:
        """Write what is not there already: an access from Python costs more than a layer of a small network."""
        if self._written.get(offset) != value:
            self._regs.write(offset, value)
            self._written[offset] = value

    def _wait(self, expected: int) -> None:
        """Sleep through most of what is expected, then poll: the processor has other things to do."""
        until = self._clock() + self._timeout_s
        status = self._regs.read(r.STATUS)
        if not status & (r.STATUS_DONE | r.STATUS_ERROR):
            time.sleep(min(0.8 * expected / self._logic.clock_hz, self._timeout_s))
        while True:
            status = self._regs.read(r.STATUS)
            if status & r.STATUS_ERROR:
                code, info = self._regs.read(r.ERROR), self._regs.read(r.ERROR_INFO)
                said = r.ERRORS.get(code, "unknown")
                raise OverlayError(
                    f"the overlay reported error {code} ({said}) at command {info & 0xFFFF}", code=code
                )
            if status & r.STATUS_DONE:
                return
            if self._clock() > until:
                raise OverlayError(f"the overlay did not end within {self._timeout_s:g} s")
            time.sleep(0)

    def _record(self, placed: Placed) -> Record:
        placed.record.invalidate()
        data = placed.record.tobytes()
        magic, exit_, label, total, low, high, stall_low, stall_high, error, _ = _RECORD.unpack_from(data)
        program = placed.program
        if magic != r.RECORD_MAGIC or error or exit_ >= len(program.exits):
            raise OverlayError(
                f"the overlay ended without a result (record {magic:#x}, exit {exit_}, error {error})",
                code=error,
            )
        classes = program.exits[exit_].classes
        if label >= classes or total < 1:
            raise OverlayError(f"the overlay's result makes no sense (label {label}, sum {total})")
        return Record(
            exit=exit_,
            label=label,
            total=total,
            cycles=low | high << 32,
            stalls=stall_low | stall_high << 32,
            logits=data[_LOGITS : _LOGITS + classes],
        )

    def _identify(self) -> None:
        found = self._regs.read(r.ID)
        if found != r.ID_VALUE:
            raise OverlayError(
                f"the logic answers {found:#010x} where the edge-npu says {r.ID_VALUE:#010x}",
                cure="See that bitstream and .hwh belong together and were built from this overlay's sources",
            )

    def _recover(self) -> str:
        """Bring the overlay back by what helps first; what helped.

        Raises:
            OverlayError: nothing did.
        """
        try:
            self._reset()
            how = "soft reset"
        except OverlayError:
            self._logic.reload()
            self._reset()
            how = "reload"
        self._suspect = False
        self.recovered[how] += 1
        return how

    def _reset(self) -> None:
        self._resident = 0
        self._written.clear()
        self._regs.write(r.CONTROL, r.CONTROL_SOFT_RESET)
        until = self._clock() + _RESET_S
        while self._regs.read(r.STATUS) & (r.STATUS_BUSY | r.STATUS_ERROR):
            if self._clock() > until:
                raise OverlayError(
                    f"the overlay is not idle {_RESET_S:g} s after a soft reset",
                    cure="Load the overlay again; if that does not help, cycle the board's power",
                )
            time.sleep(0)
        self._identify()


assert RECORD_BYTES >= _LOGITS + 64, "a record has room for 64 logits"
