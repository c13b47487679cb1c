"""The overlay's RTL, clock by clock, behind its registers and its memory: Verilator through ctypes.

What is simulated is the programmable logic: cycles are those of the RTL. The memory at the end of its AXI port is a
model with a stated latency and bandwidth (:class:`DdrTiming`), and processor, driver and caches are not there at all.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from drivers.npu import registers
from drivers.npu.ddr import Arena
from drivers.npu.verilated import SimulatorMissing, library
from testbed.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CommandSpan", "DdrTiming", "Simulator", "SimulatorMissing"]

POLL_CYCLES = 100
"""Clock cycles that pass with a read of STATUS while the overlay runs: 1 µs at 100 MHz."""
IDLE = 0xFFFF_FFFF


class DdrTiming(Struct, frozen=True, kw_only=True):
    """Model of the memory behind the AXI port, in cycles of the overlay's clock; assumed, not measured on a board.

    Attributes:
        read_latency: from an accepted address to its first beat; 40 cycles are 400 ns at 100 MHz.
        write_latency: from a burst's last beat to its response.
        beats_per_1024: beats of 8 bytes that pass in 1,024 cycles, both directions together. 1,024 is the port's own
            limit, 800 MB/s at 100 MHz; the DDR3 of a PYNQ-Z2 behind it (16 bit at 1,050 MT/s) can do 2,100 MB/s.
    """

    read_latency: int = 40
    write_latency: int = 20
    beats_per_1024: int = 1024


class CommandSpan(Struct, frozen=True):
    """One command of a recorded run: when it was handed on, and until when compute was busy with it.

    Attributes:
        tag: as the program gave it.
        opcode: as in ``docs/edge-npu.md``.
        start, end: cycles since the recording began; for commands of the DMA engine ``end`` is ``start``.
    """

    tag: int
    opcode: int
    start: int
    end: int


class Simulator:
    """One overlay with its memory. Not for several threads at once.

    Attributes:
        arena: who holds which part of the memory.
        memory: uint8 (n,), the memory itself; byte 0 has the physical address ``base``.
        base: see ``memory``.
    """

    def __init__(
        self,
        *,
        parameters: Mapping[str, int] | None = None,
        timing: DdrTiming | None = None,
        arena: Arena | None = None,
        netlist: Sequence[Path] = (),
    ) -> None:
        """After reset.

        Args:
            parameters: of the RTL's top module (``ROWS``, ``ACT_WORDS``, ``WGT_WORDS``, ``PAR_CHANNELS``).
            timing: of the memory.
            arena: memory to use; 4 MiB of its own without.
            netlist: Verilog files to simulate instead of the RTL; :meth:`record` then notes nothing.

        Raises:
            SimulatorMissing: the library cannot be built here.
        """
        self._lib = _load(str(library(parameters, netlist=netlist)))
        self.arena = arena or Arena()
        self.memory: NDArray[np.uint8] = self.arena.bytes
        self.base = self.arena.base
        self._npu = ctypes.c_void_p(
            self._lib.npu_create(self.memory.ctypes.data_as(ctypes.c_void_p), self.base, self.memory.size)
        )
        timing = timing or DdrTiming()
        self._lib.npu_timing(self._npu, timing.read_latency, timing.write_latency, timing.beats_per_1024)

    def read(self, offset: int) -> int:
        """One AXI4-Lite read. A read of STATUS while the overlay runs lets time pass, so that polling ends.

        Raises:
            BoardError: the overlay answered with an error, or not at all.
        """
        if offset == registers.STATUS:
            self._lib.npu_run(self._npu, POLL_CYCLES)
        value = ctypes.c_uint32()
        response = self._lib.npu_read(self._npu, offset, ctypes.byref(value))
        if response != 0:
            raise BoardError(f"reading register {offset:#05x} was answered with AXI response {response}")
        return value.value

    def read64(self, offset: int) -> int:
        """A counter of two registers, low word first; stands still unless the overlay runs."""
        return self.read(offset) | self.read(offset + 4) << 32

    def write(self, offset: int, value: int, *, strobes: int = 0xF) -> None:
        """One AXI4-Lite write.

        Raises:
            BoardError: the overlay answered with an error, or not at all.
        """
        response = self._lib.npu_write(self._npu, offset, value & 0xFFFF_FFFF, strobes)
        if response != 0:
            raise BoardError(f"writing register {offset:#05x} was answered with AXI response {response}")

    def run(self, max_cycles: int) -> bool:
        """Let time pass until the overlay is idle, at most so many cycles; whether it is idle."""
        self._lib.npu_run(self._npu, max_cycles)
        return not self._lib.npu_running(self._npu)

    def step(self, cycles: int) -> None:
        """Let exactly so many cycles pass."""
        self._lib.npu_step(self._npu, cycles)

    @property
    def now(self) -> int:
        """Clock cycles since reset of the simulation."""
        return int(self._lib.npu_now(self._npu))

    @property
    def interrupt(self) -> bool:
        """The interrupt pin."""
        return bool(self._lib.npu_irq(self._npu))

    @property
    def violations(self) -> int:
        """AXI rules that the overlay has broken, as bits (``sim/memory.h``); 0 is the only right answer."""
        return int(self._lib.npu_violations(self._npu))

    @property
    def beats(self) -> tuple[int, int]:
        """Beats of 8 bytes read from and written to memory so far."""
        return int(self._lib.npu_beats(self._npu, 0)), int(self._lib.npu_beats(self._npu, 1))

    def hang(self) -> None:
        """From now on the memory neither takes nor gives anything."""
        self._lib.npu_fault(self._npu, 1, 0, 0, 0, 0)

    def bus_error(self, address: int, size: int = 8, *, reads: bool = True, writes: bool = True) -> None:
        """From now on beats inside these physical bytes are answered with SLVERR."""
        self._lib.npu_fault(self._npu, 0, reads, writes, address, address + size)

    def heal(self) -> None:
        """No fault any more."""
        self._lib.npu_fault(self._npu, 0, 0, 0, 0, 0)

    def hard_reset(self) -> None:
        """As loading the bitstream again: registers are reset, nothing is on the bus, scratch memories stay."""
        self._lib.npu_hard_reset(self._npu)

    def record(self, *, on: bool = True) -> None:
        """Forget what was recorded; from now on note when each command begins and ends, or do not."""
        self._lib.npu_record(self._npu, on)

    def recorded(self) -> list[CommandSpan]:
        """What :meth:`record` noted."""
        first = ctypes.POINTER(_Event)()
        count = self._lib.npu_events(self._npu, ctypes.byref(first))
        spans: list[CommandSpan] = []
        events = [(first[i].cycle, first[i].word) for i in range(count)]
        origin = events[0][0] if events else 0
        for i, (cycle, word) in enumerate(events):
            if word == IDLE:
                continue
            compute = word & 0xFF >= registers.OP_CONV
            ends = (at for at, later in events[i + 1 :] if later == IDLE)
            end = next(ends, cycle) if compute else cycle
            spans.append(CommandSpan(word >> 16, word & 0xFF, cycle - origin, end - origin))
        return spans

    def close(self) -> None:
        """Let the simulation go; the arena stays."""
        if self._npu.value is not None:
            self._lib.npu_destroy(self._npu)
            self._npu = ctypes.c_void_p()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Event(ctypes.Structure):
    _fields_ = [("cycle", ctypes.c_uint64), ("word", ctypes.c_uint32), ("pad", ctypes.c_uint32)]


def _load(file: str) -> ctypes.CDLL:
    lib = ctypes.CDLL(file)
    handle, u32, u64, flag = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int
    for name, result, arguments in (
        ("create", handle, (ctypes.c_void_p, u64, u64)),
        ("destroy", None, (handle,)),
        ("hard_reset", None, (handle,)),
        ("timing", None, (handle, u32, u32, u32)),
        ("fault", None, (handle, flag, flag, flag, u64, u64)),
        ("run", u64, (handle, u64)),
        ("step", None, (handle, u64)),
        ("running", flag, (handle,)),
        ("irq", flag, (handle,)),
        ("now", u64, (handle,)),
        ("violations", u32, (handle,)),
        ("beats", u64, (handle, flag)),
        ("write", flag, (handle, u32, u32, u32)),
        ("read", flag, (handle, u32, ctypes.POINTER(u32))),
        ("record", None, (handle, flag)),
        ("events", u64, (handle, ctypes.POINTER(ctypes.POINTER(_Event)))),
    ):
        function = getattr(lib, f"npu_{name}")
        function.restype, function.argtypes = result, arguments
    return lib
