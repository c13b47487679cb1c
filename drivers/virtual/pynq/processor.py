"""Registers of a Zynq-7000's processor that pynq's ``Clocks`` reads and writes: PLLs and the four PL clocks.

Source: Zynq-7000 TRM (UG585), register "slcr": ``ARM_PLL_CTRL`` 0x100, ``DDR_PLL_CTRL`` 0x104, ``IO_PLL_CTRL`` 0x108
(``PLL_FDIV`` in bits 12 to 18), ``ARM_CLK_CTRL`` 0x120 (``DIVISOR`` 8 to 13), ``FPGA<n>_CLK_CTRL`` 0x170 + 0x10 n
(``SRCSEL`` 4 and 5, ``DIVISOR0`` 8 to 13, ``DIVISOR1`` 20 to 25).
"""

from __future__ import annotations

SLCR = 0xF800_0000
_PLLS = {0x100: 26, 0x104: 21, 0x108: 20}
_ARM_CLOCK, _FPGA_CLOCKS = 0x120, (0x170, 0x180, 0x190, 0x1A0)


class ProcessorRegisters:
    """What was written, and after power-up: 50 MHz crystal, IO PLL at 1 GHz, every PL clock at 100 MHz."""

    def __init__(self) -> None:
        """Power up."""
        self._values = {SLCR + at: divider << 12 for at, divider in _PLLS.items()}
        self._values[SLCR + _ARM_CLOCK] = 2 << 8
        self._values |= {SLCR + at: 5 << 8 | 2 << 20 for at in _FPGA_CLOCKS}

    def read(self, address: int) -> int:
        """A register; what was never written is 0."""
        return self._values.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """Set one."""
        self._values[address] = value
