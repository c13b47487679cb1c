"""Takes a root folder, gives meters: rails with names and watts, read on demand.

A meter factory looks below the root and answers ``None`` where the board has no such meter.
Does not know sampling periods, batches or the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    class Meter(Protocol):
        """Reads all rails of one meter."""

        @property
        def rails(self) -> Sequence[str]:
            """Names, in the order of the readings."""

        def read(self, now_ns: Callable[[], int]) -> tuple[int, Sequence[float]]:
            """One stamp [ns, clock of ``now_ns``] in the middle of the readings, and watts for each rail.

            Raises:
                OSError: a rail cannot be read.
                ValueError: a rail reads nonsense.
            """

        def close(self) -> None:
            """Release what is held open."""
