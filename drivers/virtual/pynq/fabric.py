"""What a simulated PYNQ board is made of: a fabric, and the ways in which it can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

from drivers.agent.runtimes.overlay import registers as r
from drivers.agent.runtimes.overlay.logic import OverlayError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from drivers.agent.runtimes.overlay.logic import Mmio
    from drivers.virtual.pynq.memory import Arena, ArenaBuffer

Fault: TypeAlias = Literal["hung", "bus-error", "wrong-bitstream"]


def fault_at(text: str) -> tuple[int, Fault]:
    """``hung@2``: at the second start; without a number, from the beginning.

    Raises:
        ValueError: no such fault, or no number.
    """
    name, _, start = text.partition("@")
    known: dict[str, Fault] = {fault: fault for fault in get_args(Fault)}
    if name not in known:
        raise ValueError(f"no fault {name!r}; there are {', '.join(known)}")
    return int(start or 0), known[name]


class Fabric(Protocol):
    """An overlay in the logic, by its registers and the memory it reaches.

    Attributes:
        arena: DDR. clock_hz: of the overlay.
    """

    arena: Arena
    clock_hz: float

    def read(self, offset: int) -> int:
        """A register."""

    def write(self, offset: int, value: int) -> None:
        """Set a register."""

    def configure(self) -> None:
        """As after the bitstream was loaded: every register at its reset value; memory stays."""


class FaultyFabric:
    """A fabric with faults on order.

    ======================  ====================================================  =========================
    fault                   what software sees                                    what helps
    ======================  ====================================================  =========================
    ``hung``                BUSY for ever; a soft reset changes nothing           loading the bitstream again
    ``bus-error``           the next start ends in an AXI read error, once        a soft reset
    ``wrong-bitstream``     another ID where the overlay should be                nothing
    ======================  ====================================================  =========================

    Attributes:
        loads: how often a bitstream was loaded. resets: how often software reset the overlay.
    """

    def __init__(self, fabric: Fabric, plan: Mapping[int, Fault] | None = None) -> None:
        """Nothing is wrong.

        Args:
            plan: faults by the number of the start, from 1, that they meet; 0 is there from the beginning.
        """
        self._fabric = fabric
        self._plan = dict(plan or {})
        self._starts = 0
        self._fault: Fault | None = None
        self._struck = False
        self.arena = fabric.arena
        self.clock_hz = fabric.clock_hz
        self.loads = 0
        self.resets = 0
        self.break_(self._plan.get(0))

    def break_(self, fault: Fault | None) -> None:
        """Have something go wrong from now on; ``None`` for nothing."""
        self._fault, self._struck = fault, False

    def read(self, offset: int) -> int:
        """A register, as the fault shows it."""
        if self._fault == "wrong-bitstream" and offset == r.ID:
            return 0x0BADF00D
        if self._fault == "hung" and self._struck and offset == r.STATUS:
            return r.STATUS_BUSY
        if self._fault == "bus-error" and self._struck:
            if offset == r.STATUS:
                return r.STATUS_ERROR
            if offset == r.ERROR:
                return 3
        return self._fabric.read(offset)

    def write(self, offset: int, value: int) -> None:
        """Set a register, unless the fault swallows it."""
        if offset == r.CONTROL and value & r.CONTROL_SOFT_RESET:
            self.resets += 1
            if self._fault == "bus-error" and self._struck:
                self.break_(None)
        if offset == r.CONTROL and value & r.CONTROL_START:
            self._starts += 1
            if self._starts in self._plan:
                self.break_(self._plan[self._starts])
            if self._fault in ("hung", "bus-error"):
                self._struck = True
                return
        self._fabric.write(offset, value)

    def configure(self) -> None:
        """Load the bitstream, which mends what is hung."""
        self.loads += 1
        if self._fault == "hung":
            self.break_(None)
        self._fabric.configure()


class FabricLogic:
    """A fabric as the agent's runtime wants it, without pynq; see `drivers.agent.runtimes.overlay.logic.Logic`."""

    def __init__(self, fabric: Fabric, ip: str) -> None:
        """Load the bitstream.

        Args:
            ip: what the overlay's instance is called.
        """
        self._fabric = fabric
        self._ip = ip
        self.clock_hz = fabric.clock_hz
        fabric.configure()

    def mmio(self, ip: str, size: int) -> Mmio:
        """The fabric itself.

        Raises:
            OverlayError: another IP was asked for.
        """
        if ip != self._ip:
            raise OverlayError(
                f"the overlay has no IP {ip!r}; it has {self._ip}", cure="Correct ip in overlay.toml"
            )
        return self._fabric

    def channels(self, path: str) -> Any:  # noqa: ANN401
        """None.

        Raises:
            OverlayError: always.
        """
        raise OverlayError(f"the overlay has no DMA {path!r}")

    def allocate(self, size: int) -> ArenaBuffer:
        """Out of the arena."""
        return self._fabric.arena.allocate(size)

    def reload(self) -> None:
        """Load the bitstream again."""
        self._fabric.configure()

    def facts(self) -> Mapping[str, object]:
        """What stands there instead of silicon."""
        return {"device": type(self._fabric).__name__}

    def close(self) -> None:
        """Nothing to give back."""
