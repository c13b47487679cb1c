"""Energy of a policy over the load windows of its trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from testbed.measure.energy import Idle, add_energies, energy_in, idle_power, total_trace
from testbed.model.energy import Energy
from testbed.model.origin import Origin, weakest
from testbed.report.rows import EnergyRow
from testbed.store.schema import IDLE_AFTER, IDLE_BEFORE, LOAD

if TYPE_CHECKING:
    from testbed.measure.clocksync import ClockBook
    from testbed.report.policies import Material
    from testbed.store.reader import Attempt


def energy_row(material: Material) -> EnergyRow:
    """Energy per answered request, over every board that has a meter; the others are named in the scope."""
    parts = [
        _attempt_energy(attempt, clocks)
        for attempt, clocks in zip(material.attempts, material.clocks, strict=True)
    ]
    answered = int(material.columns.answered.sum())
    scope = "; ".join(dict.fromkeys(part.scope for part in parts)) or "nothing"
    reason = "; ".join(dict.fromkeys(part.reason for part in parts if part.reason))
    if material.reason:
        reason = f"does not count ({material.reason})"
    elif answered == 0:
        reason = reason or "no request was answered"
    gross = [part.gross_j for part in parts if part.gross_j is not None]
    idle = [part.idle_j for part in parts if part.idle_j is not None]
    whole = bool(parts) and len(gross) == len(parts) and answered > 0 and not material.reason
    total_j = math.fsum(gross) if whole else None
    idle_j = math.fsum(idle) if whole and len(idle) == len(parts) else None
    sigma_j = math.hypot(*(part.sigma_j or 0.0 for part in parts)) if idle_j is not None else None
    return EnergyRow(
        net_mj=None if total_j is None or idle_j is None else (total_j - idle_j) / answered * 1e3,
        gross_mj=None if total_j is None else total_j / answered * 1e3,
        sigma_mj=None if sigma_j is None else sigma_j / answered * 1e3,
        total_j=total_j,
        idle_j=idle_j,
        origin=weakest(part.origin for part in parts).value if total_j is not None else "",
        scope=scope,
        reason=reason,
    )


def _attempt_energy(attempt: Attempt, clocks: ClockBook) -> Energy:
    """Energy of all metered boards over one trial's load window."""
    metered = sorted({block.board for block in attempt.power})
    blind = sorted({facts.id for facts in attempt.boards} - set(metered))
    unmetered = ", ".join(f"{board} (no power meter)" for board in blind)
    load = attempt.window(LOAD)
    if not metered:
        return _nothing(f"no energy: {unmetered or 'no board was seen'}", unmetered)
    if load is None:
        return _nothing("the trial has no load window", unmetered)
    worked = {step.board for record in attempt.records for step in record.steps if step.started is not None}
    if worked and not worked.intersection(metered):
        # The idle of bystanders is no cost of this policy, and next to nothing would look like a bargain.
        return _nothing(f"no board with a meter did any of the work: {unmetered}", unmetered)
    quiet = [w for name in (IDLE_BEFORE, IDLE_AFTER) if (w := attempt.window(name)) is not None]
    energies: list[Energy] = []
    for board in metered:
        trace = total_trace([block for block in attempt.power if block.board == board], clocks)
        if isinstance(trace, str):
            return _nothing(trace, unmetered)
        idle: Idle = idle_power(trace, [(w.start, w.end) for w in quiet])
        energies.append(energy_in(trace, (load.start, load.end), idle=idle))
    covered = ", ".join(energy.scope for energy in energies)
    scope = f"{covered}, above idle, over the load, per answered request"
    return add_energies(energies, f"{scope}; without {unmetered}" if unmetered else scope)


def _nothing(reason: str, scope: str) -> Energy:
    return Energy(
        gross_j=None,
        idle_j=None,
        sigma_j=None,
        scope=f"nothing; without {scope}" if scope else "nothing",
        origin=Origin.MEASURED,
        reason=reason,
    )
