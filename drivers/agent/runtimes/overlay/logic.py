"""What the runtime asks of programmable logic; pynq's own MMIO and buffers have this shape, and so has a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import TestbedError

if TYPE_CHECKING:
    from typing import Any, Mapping, Protocol

    class Mmio(Protocol):
        """Registers, by offset in bytes; ``pynq.MMIO`` is one."""

        def read(self, offset: int) -> int:
            """A 32-bit register."""

        def write(self, offset: int, value: int) -> None:
            """Set one."""

    class Buffer(Protocol):
        """An array (numpy.ndarray) in memory that the logic reaches; ``pynq.buffer.PynqBuffer`` is one."""

        device_address: int

        def flush(self) -> None:
            """What we wrote is in memory before the logic reads."""

        def invalidate(self) -> None:
            """What the logic wrote is what we read."""

        def freebuffer(self) -> None:
            """Give it back."""

    class Logic(Protocol):
        """The logic with one overlay in it.

        Attributes:
            clock_hz: of the overlay.
        """

        clock_hz: float

        def mmio(self, ip: str, size: int) -> Mmio:
            """Registers of an IP of the overlay, ``size`` bytes; raises `OverlayError` where it has none."""

        def channels(self, path: str) -> Any:  # noqa: ANN401 - pynq.lib.dma.DMA, which is typed nowhere
            """A DMA of the overlay with its ``sendchannel`` and ``recvchannel``."""

        def allocate(self, size: int) -> Any:  # noqa: ANN401 - a Buffer that is a numpy array as well
            """``size`` bytes as a `Buffer` of uint8, zeroed."""

        def reload(self) -> None:
            """Configure the logic anew; every register is as after power-up. Buffers stay."""

        def facts(self) -> Mapping[str, object]:
            """What the host should know of it."""

        def close(self) -> None:
            """Give back what is not a buffer."""


class OverlayError(TestbedError):
    """The overlay is not the one asked for, or does not do what it should.

    Attributes:
        code: the overlay's own error code, 0 where it gave none.
    """

    def __init__(self, message: str, *, code: int = 0, cure: str = "") -> None:
        """Keep the code apart."""
        self.code = code
        super().__init__(message, cure=cure)
