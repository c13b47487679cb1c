"""A fabric as a device of pynq's own, so that ``Overlay``, ``MMIO``, ``allocate`` and ``Clocks`` work on it unchanged.

Needs pynq (3.1.2 or 4.0.0). Source: ``pynq.pl_server.device.Device``, whose methods pynq's classes call; the clock
registers of a Zynq-7000 are those of UG585, "slcr". A mapped device would hand out memory that nobody can watch, so
registers are reached by ``REGISTER_RW``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from drivers.virtual.pynq.processor import ProcessorRegisters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.virtual.pynq.fabric import Fabric


class FabricBuffer(PynqBuffer):  # type: ignore[misc] # pynq has no types
    """A buffer of pynq's that goes back to the arena; off the board pynq's own never does."""

    def freebuffer(self) -> None:
        """Give it back; a second time does nothing."""
        give_back = self.__dict__.pop("give_back", None)
        if give_back is not None:
            give_back()


class FabricDevice(Device):  # type: ignore[misc] # pynq has no types
    """A Zynq-7000 board whose logic is a fabric.

    Attributes:
        loaded: bitstreams that were downloaded, by file name, in turn.
    """

    _probe_priority_ = 30

    def __init__(
        self, fabric: Fabric, *, base: int = 0x43C0_0000, size: int = 0x1_0000, name: str = "Pynq-Z2"
    ) -> None:
        """Power up.

        Args:
            base, size: where the overlay's registers appear; as in its ``.hwh``.
            name: what the board calls itself.
        """
        super().__init__("testbed-fabric")
        self.name = name
        self.arch = "armv7l"
        self.capabilities = {"REGISTER_RW": True}
        self.loaded: list[str] = []
        self._fabric = fabric
        self._base, self._size = base, size
        self._processor = ProcessorRegisters()

    @classmethod
    def _probe_(cls) -> list[FabricDevice]:
        """None by itself: one is made with its fabric and set as the active device."""
        return []

    def read_registers(self, address: int, length: int) -> bytes:
        """Bytes at a physical address, word by word."""
        words = (self._read(address + at) for at in range(0, length, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Words to a physical address."""
        raw = bytes(data)
        for at in range(0, len(raw), 4):
            value = int.from_bytes(raw[at : at + 4], "little")
            if self._base <= address + at < self._base + self._size:
                self._fabric.write(address + at - self._base, value)
            else:
                self._processor.write(address + at, value)

    def allocate(self, shape: Sequence[int] | int, dtype: Any, **options: object) -> FabricBuffer:  # noqa: ANN401
        """Contiguous memory out of the arena; what pynq may ask for beside that changes nothing here."""
        arena = self._fabric.arena
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        address = arena.place(size)
        view = arena.at(address, size)
        buffer = FabricBuffer(shape, kind, buffer=view, device_address=address, device=self, coherent=False)
        buffer.give_back = lambda: arena.free(address)
        return buffer

    def flush(self, bo: object, offset: int, pointer: int, size: int) -> None:
        """Memory and what the logic sees are one."""

    def invalidate(self, bo: object, offset: int, pointer: int, size: int) -> None:
        """As `flush`."""

    def get_bitfile_metadata(self, name: str, partial: bool = False) -> Any:  # noqa: ANN401
        """What the ``.hwh`` beside the bitstream tells."""
        parser = RuntimeMetadataParser(Metadata(input=str(Path(name).with_suffix(".hwh"))))
        if not partial:
            parser.refresh_hierarchy_dict()
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:  # noqa: ANN401
        """Configure the fabric."""
        self.loaded.append(Path(bitstream.bitfile_name).name)
        self._fabric.configure()
        self.post_download(bitstream, parser, self.name)

    def gen_cache(self, bitstream: Any, parser: Any = None) -> None:  # noqa: ANN401
        """Nothing is written into site-packages."""

    def _read(self, address: int) -> int:
        if self._base <= address < self._base + self._size:
            return self._fabric.read(address - self._base)
        return self._processor.read(address)
