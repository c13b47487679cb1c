"""What the meters of a board say of an interval, and whether one failed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.measure.clocksync import fit_clocks
from testbed.measure.energy import EnergyBook
from testbed.measure.trace import total_trace
from testbed.model.energy import Energy
from testbed.model.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.model.ids import BoardId
    from testbed.model.lab import BoardFacts
    from testbed.model.record import ClockProbe, PowerSamples
    from testbed.units import Ns

GONE = frozenset({"lost", "no answer", "garbage"})
"""Faults after which another try may succeed; a meter at the end of its range would stand there again."""


def meters_lost(
    facts: Mapping[BoardId, BoardFacts],
    samples: Sequence[PowerSamples],
    probes: Iterable[ClockProbe],
    load: tuple[Ns, Ns],
) -> list[str]:
    """Meters that failed during a trial, so that there is no energy over its load; each with the reason.

    A load too short for its meter, or with more power than it can show, is no failure of the meter: the energy is
    refused in the report, and the trial counts.

    Args:
        samples: of all meters from the trial's beginning to its end. probes: of the boards' clocks.
        load: start and end on the coordinator's clock.
    """
    clocks = fit_clocks(probes)
    lost = []
    for board, meter in sorted({(block.board, block.meter) for block in samples}):
        blocks = [block for block in samples if (block.board, block.meter) == (board, meter)]
        told = {fault.kind: None for block in blocks for fault in block.faults if fault.kind in GONE}
        if not told:
            continue
        trace = total_trace(blocks, clocks, facts[board].meters.get(meter) if board in facts else None)
        refusal = trace if isinstance(trace, str) else EnergyBook(trace).cover(load).refusal
        if refusal:
            lost.append(f"meter {meter} ({', '.join(told)}): {refusal}")
    return lost


def energies_over(
    facts: BoardFacts,
    samples: Sequence[PowerSamples],
    probes: Iterable[ClockProbe],
    span: tuple[Ns, Ns],
    rests: Sequence[tuple[Ns, Ns]] = (),
) -> dict[str, Energy]:
    """Energy of one board over an interval, by meter.

    Args:
        samples: of this board's meters. probes: of its clock.
        span: start and end on the coordinator's clock. rests: intervals without load; without any there is no net.
    """
    clocks = fit_clocks(probes)
    found: dict[str, Energy] = {}
    for meter in sorted({block.meter for block in samples}):
        blocks = [block for block in samples if block.meter == meter]
        trace = total_trace(blocks, clocks, facts.meters.get(meter))
        if isinstance(trace, str):
            found[meter] = Energy(
                gross_j=None,
                idle_j=None,
                sigma_j=None,
                scope=facts.id,
                origin=Origin(facts.origin),
                reason=trace,
            )
            continue
        book = EnergyBook(trace)
        found[meter] = book.energy(span, book.idle(rests) if rests else None)
    return found
