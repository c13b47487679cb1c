"""The overlay's RTL, clock by clock, as a fabric: what stands behind the registers is what would be in the silicon.

The memory at the end of its port is a model with a stated latency and bandwidth (`drivers.npu.simulator`).
"""

from __future__ import annotations

from drivers.npu.ddr import Arena as Ddr
from drivers.npu.simulator import DdrTiming, Simulator
from drivers.virtual.pynq.memory import Arena

ARENA_BYTES = 4 << 20


class RtlFabric:
    """See `drivers.virtual.pynq.fabric.Fabric`.

    Attributes:
        simulator: the overlay. timing: of the memory behind its port.
    """

    def __init__(self, *, clock_hz: float = 100e6, timing: DdrTiming | None = None) -> None:
        """Build the simulation if it is not in the cache, and power up.

        Raises:
            SimulatorMissing: it cannot be built here.
        """
        self.timing = timing or DdrTiming()
        self.clock_hz = clock_hz
        self.simulator = Simulator(arena=Ddr(ARENA_BYTES), timing=self.timing)
        self.arena = Arena(self.simulator.memory, self.simulator.base)

    def read(self, offset: int) -> int:
        """A register; time passes while the overlay runs and its status is read."""
        return self.simulator.read(offset)

    def write(self, offset: int, value: int) -> None:
        """Set a register."""
        self.simulator.write(offset, value)

    def configure(self) -> None:
        """Reset everything, as loading the bitstream does."""
        self.simulator.hard_reset()

    def close(self) -> None:
        """Let the simulation go."""
        self.simulator.close()
