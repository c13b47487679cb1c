"""Takes a root folder, gives meters: rails with names and watts, read on demand.

A finder looks below the root and gives the board's meter, or raises ``MeterError`` that says why there is none.
Does not know batches or the wire. What a meter promises is ``testbed.contracts.meter``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import MeterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol, TypeAlias

    class Meter(Protocol):
        """Reads all rails of one meter; one thread uses it (see ``testbed.ports.PowerMeter``, its twin).

        Attributes:
            rails: names, in the order of the readings.
            total: those that add up to what the board draws.
            waits: ``read`` waits for the meter's own next sample.
            about: what people should know of it, for the facts: chip, scope, how totals are made.
        """

        rails: Sequence[str]
        total: Sequence[str]
        waits: bool
        about: Mapping[str, object]

        def start(self, period: int) -> None:
            """Be ready to be read about every ``period`` [ns].

            Raises:
                MeterError: it cannot be used.
            """

        def read(self, now: Callable[[], int]) -> tuple[int, Sequence[float]]:
            """One stamp [ns, clock ``now``] and finite watts for each rail.

            Raises:
                SampleError: this sample could not be had; the next may.
                MeterError: it is gone, and has to be stopped and started again.
            """

        def stop(self) -> None:
            """Release what is held open; idempotent."""

    Finder: TypeAlias = Callable[[str], Meter]


def find_meters(finders: Mapping[str, Finder], root: str) -> tuple[dict[str, Meter], dict[str, str]]:
    """The board's meters by name, and by name why others are absent."""
    found: dict[str, Meter] = {}
    absent: dict[str, str] = {}
    for name, find in finders.items():
        meter = _look(find, root)
        if isinstance(meter, str):
            absent[name] = meter
        else:
            found[name] = meter
    return found, absent


def _look(find: Finder, root: str) -> Meter | str:
    try:
        return find(root)
    except MeterError as error:
        return str(error)
    except OSError as error:
        return f"cannot be looked for: {error}"


def meter_facts(found: Mapping[str, Meter]) -> dict[str, dict[str, object]]:
    """What the welcome tells of each meter."""
    return {
        name: {"rails": list(meter.rails), "total": list(meter.total), **meter.about}
        for name, meter in found.items()
    }
