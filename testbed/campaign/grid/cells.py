"""Cells of a grid: one level of each factor."""

from __future__ import annotations

import itertools

import msgspec
from msgspec import Struct


class Cell(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One point of the grid.

    Attributes:
        rtt_ms: round trip to the data centre, without what an input takes on the wire.
        load: arrival rate over what the data centre alone could serve with its most accurate model.
        levels: so many of the workload's needs, the highest targets first.
        uplink: rate towards the data centre [Mbit/s], or a file with one that changes (see `testbed.model.traces`),
            beside the campaign file; ``None`` for what the lab file says.
        payload_bytes: size of an input on the way; ``None`` for that of the task.
        deadline_ms: of every request; ``None`` for the workload's.
    """

    rtt_ms: float
    load: float
    levels: int
    uplink: float | str | None = None
    payload_bytes: int | None = None
    deadline_ms: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no cell can be.

        Raises:
            ValueError: a negative round trip, or nothing that arrives or gets through.
        """
        rate = 1.0 if self.uplink is None or isinstance(self.uplink, str) else self.uplink
        if self.rtt_ms < 0:
            raise ValueError("rtt_ms must not be negative")
        if min(self.load, rate, self.payload_bytes or 1, self.deadline_ms or 1) <= 0:
            raise ValueError("load, uplink, payload_bytes and deadline_ms must be positive")

    def elsewhere(self, rtt_ms: float) -> Cell:
        """The same at another round trip."""
        return msgspec.structs.replace(self, rtt_ms=rtt_ms)


class Factors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Levels of each factor; the grid is their product, and one without levels stays at the operating point's."""

    rtt_ms: tuple[float, ...] = ()
    load: tuple[float, ...] = ()
    levels: tuple[int, ...] = ()
    uplink: tuple[float | str, ...] = ()
    payload_bytes: tuple[int, ...] = ()
    deadline_ms: tuple[float, ...] = ()

    def cells(self, point: Cell) -> list[Cell]:
        """All of them, in the order of the levels."""
        names = Cell.__struct_fields__
        levels = [getattr(self, name) or (getattr(point, name),) for name in names]
        return [Cell(**dict(zip(names, level, strict=True))) for level in itertools.product(*levels)]
