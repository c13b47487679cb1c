"""Clock registers after power-up, read by the formula of the manual."""

from __future__ import annotations

import pytest

from drivers.virtual.pynq.processor import SLCR, ProcessorRegisters


@pytest.mark.parametrize("number", range(4))
def test_every_pl_clock_starts_at_100_mhz(number):
    registers = ProcessorRegisters()
    control = registers.read(SLCR + 0x170 + 0x10 * number)
    io_pll = registers.read(SLCR + 0x108)
    mhz = 50 * (io_pll >> 12 & 0x7F) / ((control >> 8 & 0x3F) * (control >> 20 & 0x3F))
    assert mhz == 100


def test_what_is_written_is_read_and_the_rest_is_zero():
    registers = ProcessorRegisters()
    registers.write(SLCR + 0x170, 0x500A00)
    assert registers.read(SLCR + 0x170) == 0x500A00
    assert registers.read(0xE000_0000) == 0
