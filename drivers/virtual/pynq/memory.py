"""DDR as an overlay sees it: one array with physical addresses, and buffers handed out of it."""

from __future__ import annotations

from typing import Any

import numpy as np

_ALIGNMENT = 4096  # contiguous memory comes in pages


class ArenaBuffer(np.ndarray[Any, np.dtype[np.uint8]]):
    """A buffer with the methods of ``pynq.buffer.PynqBuffer``; coherent, so that flushing does nothing.

    Attributes:
        device_address: physical address of its first byte.
    """

    device_address: int
    arena: Arena | None

    def __array_finalize__(self, obj: Any) -> None:  # noqa: ANN401 - numpy's own signature
        """Views are no buffers: only what was allocated can be freed."""
        self.arena = None
        self.device_address = getattr(obj, "device_address", 0)

    def flush(self) -> None:
        """Written already."""

    def invalidate(self) -> None:
        """Read afresh anyway."""

    def freebuffer(self) -> None:
        """Give it back; a second time does nothing."""
        if self.arena is not None:
            self.arena.free(self.device_address)
            self.arena = None


class Arena:
    """Contiguous memory.

    Attributes:
        bytes: uint8 (size,), byte 0 is at ``base``. base: physical address.
    """

    def __init__(self, memory: np.ndarray[Any, np.dtype[np.uint8]], base: int = 0x1000_0000) -> None:
        """Everything is free."""
        self.bytes = memory
        self.base = base
        self._taken: dict[int, int] = {}

    @property
    def taken_bytes(self) -> int:
        """What is allocated, in whole pages."""
        return sum(self._taken.values())

    def place(self, size: int) -> int:
        """Take ``size`` bytes, page by page, at the lowest address where they fit; that address.

        Raises:
            MemoryError: there is no gap of this size.
        """
        need = -(-max(size, 1) // _ALIGNMENT) * _ALIGNMENT
        begin = self.base
        for address in sorted(self._taken):
            if address - begin >= need:
                break
            begin = address + self._taken[address]
        if begin + need > self.base + len(self.bytes):
            raise MemoryError(f"no {size} contiguous bytes left of {len(self.bytes)}")
        self._taken[begin] = need
        return begin

    def free(self, address: int) -> None:
        """Give back what was placed there.

        Raises:
            KeyError: nothing was.
        """
        del self._taken[address]

    def allocate(self, size: int) -> ArenaBuffer:
        """A buffer of ``size`` bytes, zeroed.

        Raises:
            MemoryError: there is no room.
        """
        address = self.place(size)
        buffer = self.at(address, size).view(ArenaBuffer)
        buffer[:] = 0
        buffer.arena, buffer.device_address = self, address
        return buffer

    def at(self, address: int, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The bytes there, as a view.

        Raises:
            IndexError: they are not all inside.
        """
        begin = address - self.base
        if begin < 0 or size < 0 or begin + size > len(self.bytes):
            raise IndexError(f"{size} bytes at {address:#x} are outside of the memory")
        return self.bytes[begin : begin + size]

    def block(self, address: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """What was placed around an address, from there on, as a view.

        Raises:
            IndexError: nothing was.
        """
        for begin, size in self._taken.items():
            if begin <= address < begin + size:
                return self.at(address, begin + size - address)
        raise IndexError(f"nothing was placed at {address:#x}")
