"""The overlay's registers in front of a function that does its work at once: what software sees, without the cycles.

Everything that a start needs is read from the registers and from memory, as the overlay does it; the result record and
the counters are written back. Time does not pass here: a board that answers with this is paced from outside.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from drivers.agent.runtimes.overlay import registers as r
from drivers.agent.runtimes.overlay.program_file import RECORD_BYTES
from drivers.virtual.pynq.memory import Arena

CAPS = {"rows": 16, "lanes": 8, "act_words": 16384, "wgt_words": 1024, "par_channels": 512}
"""The default configuration of the overlay."""

_LOGITS = 64
_KEPT = {r.STATUS, r.CONTROL, r.ID, r.VERSION, r.CAPS0, r.CAPS1, r.ERROR, r.ERROR_INFO}


class Start(Struct, frozen=True, kw_only=True):
    """A start as the overlay finds it in its registers: addresses are physical, ``key`` is the driver's mark."""

    program: int
    offset: int
    commands: int
    given: int
    record: int
    limits: tuple[int, ...]
    mask: int
    key: int


class Ended(Struct, frozen=True, kw_only=True):
    """How an execution ended: counters in cycles, ``logits`` int8 as bytes; ``error`` is the overlay's code."""

    exit: int = 0
    label: int = 0
    total: int = 32768
    logits: bytes = b""
    cycles: int = 0
    stalls: int = 0
    error: int = 0


Execute: TypeAlias = Callable[[Arena, Start], Ended]


class ModelFabric:
    """See `drivers.virtual.pynq.fabric.Fabric`."""

    def __init__(
        self, arena: Arena, execute: Execute, *, clock_hz: float = 100e6, caps: dict[str, int] = CAPS
    ) -> None:
        """Power up.

        Args:
            execute: does the work of a start.
            caps: what the capability registers tell.
        """
        self.arena = arena
        self.clock_hz = clock_hz
        self._execute = execute
        self._caps = caps
        self._values: dict[int, int] = {}
        self.configure()

    def configure(self) -> None:
        """Reset values."""
        caps = self._caps
        self._values = {
            r.ID: r.ID_VALUE,
            r.VERSION: r.VERSION_VALUE,
            r.CAPS0: caps["rows"] | caps["lanes"] << 8 | caps["act_words"] // 1024 << 16,
            r.CAPS1: caps["wgt_words"] | caps["par_channels"] << 16,
        }

    def read(self, offset: int) -> int:
        """A register."""
        return self._values.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Set a register; a start is over when this returns."""
        if offset == r.CONTROL:
            if value & r.CONTROL_SOFT_RESET:
                self.configure()
            elif value & r.CONTROL_START:
                self._start()
        elif offset == r.STATUS:
            self._values[r.STATUS] = self.read(r.STATUS) & ~(value & (r.STATUS_DONE | r.STATUS_ERROR))
        elif offset not in _KEPT:
            self._values[offset] = value & 0xFFFFFFFF

    def _start(self) -> None:
        get = self.read
        start = Start(
            program=get(r.PROGRAM_BASE),
            offset=get(r.COMMANDS_OFFSET),
            commands=get(r.PROGRAM_COMMANDS),
            given=get(r.INPUT_BASE),
            record=get(r.OUTPUT_BASE),
            limits=tuple(get(r.EXIT_LIMIT + 4 * i) for i in range(r.EXIT_LIMITS)),
            mask=sum(get(r.MASK + 4 * i) << 32 * i for i in range(r.MASKS)),
            key=get(r.PROGRAM_HASH),
        )
        try:
            record = self.arena.at(start.record, RECORD_BYTES)
            ended = self._execute(self.arena, start)
        except IndexError:
            record, ended = self.arena.bytes[:0], Ended(error=2)
        self._values[r.ERROR] = ended.error
        for low, value in ((r.CYCLES_LO, ended.cycles), (r.STALL_AXI_LO, ended.stalls)):
            self._values[low], self._values[low + 4] = value & 0xFFFFFFFF, value >> 32
        self._values[r.EXIT] = ended.exit | ended.label << 8
        if ended.error:
            self._values[r.STATUS] = r.STATUS_ERROR
            return
        head = struct.pack(
            "<10I",
            *(r.RECORD_MAGIC, ended.exit, ended.label, ended.total),
            *(ended.cycles & 0xFFFFFFFF, ended.cycles >> 32, ended.stalls & 0xFFFFFFFF, ended.stalls >> 32),
            *(0, 0),
        )
        record[:] = 0
        record[: len(head)] = memoryview(head)
        record[_LOGITS : _LOGITS + len(ended.logits)] = memoryview(ended.logits)
        self._values[r.STATUS] = r.STATUS_DONE
