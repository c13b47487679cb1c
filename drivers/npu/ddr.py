"""Memory that the simulated overlay and its driver share: an arena with a physical base address, and who holds what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testbed.errors import BoardError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGNMENT = 128
"""Bytes; every base address is a multiple, as OUTPUT_BASE has to be (``docs/edge-npu.md``)."""
BASE = 0x1000_0000
"""Where the arena starts by default: inside the DDR of a PYNQ-Z2, as the kernel's contiguous memory is."""


class Arena:
    """``size`` bytes from the physical address ``base``; allocation is first fit, so that what is freed is used again.

    Attributes:
        base: physical address of the first byte.
        bytes: uint8 (size,), all of it.
    """

    def __init__(self, size: int = 4 << 20, base: int = BASE) -> None:
        """All of it is free and zero.

        Raises:
            ValueError: ``base`` or ``size`` is no multiple of 128.
        """
        if base % ALIGNMENT or size % ALIGNMENT or size <= 0:
            raise ValueError(f"base {base:#x} and size {size} have to be multiples of {ALIGNMENT}")
        self.base = base
        self.bytes: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self._held: dict[int, int] = {}

    def allocate(self, size: int) -> int:
        """Physical address of ``size`` bytes that nobody else holds, aligned; what they contain is not defined.

        Raises:
            BoardError: there is no gap of that size.
            ValueError: ``size`` is not positive.
        """
        if size <= 0:
            raise ValueError(f"{size} bytes cannot be allocated")
        need = -(-size // ALIGNMENT) * ALIGNMENT
        at = self.base
        for start, length in sorted(self._held.items()):
            if start - at >= need:
                break
            at = start + length
        if at + need > self.base + self.bytes.size:
            raise BoardError(f"no gap of {size} bytes in the simulated memory of {self.bytes.size}")
        self._held[at] = need
        return at

    def free(self, address: int) -> None:
        """Give back what :meth:`allocate` gave.

        Raises:
            ValueError: nothing was allocated there.
        """
        if self._held.pop(address, None) is None:
            raise ValueError(f"nothing is allocated at {address:#x}")

    def view(self, address: int, size: int) -> NDArray[np.uint8]:
        """The bytes at a physical address, not a copy.

        Raises:
            ValueError: they do not lie inside.
        """
        start = address - self.base
        if start < 0 or size < 0 or start + size > self.bytes.size:
            raise ValueError(f"{size} bytes at {address:#x} are not in the simulated memory")
        return self.bytes[start : start + size]
