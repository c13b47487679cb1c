"""Energy of a policy over the load windows of its trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from testbed.measure.energy import add_energies
from testbed.model.energy import Energy
from testbed.model.origin import Origin, weakest
from testbed.report.rows import EnergyRow
from testbed.report.words import several

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from testbed.model.ids import BoardId
    from testbed.model.lab import BoardFacts
    from testbed.report.meters import Reading
    from testbed.report.policies import Material
    from testbed.store.reader import Attempt

NO_METER = "no power meter"
UNREAD = "its power meter gave no samples: meter_period_ms in the lab file asks for them"


def why_none(facts: BoardFacts) -> str:
    """Why a board without samples has none, by what it said of itself."""
    return UNREAD if facts.facts.get("meters") else NO_METER


def energy_row(material: Material, only: Collection[BoardId] | None = None) -> EnergyRow:
    """Energy per answered request, over every board of which it is known; the others are named in the scope.

    Args:
        only: cover no other boards than these, e.g. those that another run knows too.
    """
    parts = [
        _attempt_energy(attempt, board_energies(attempt, readings), worked, only)
        for attempt, readings, worked in zip(
            material.attempts, material.readings, material.worked, strict=True
        )
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
    sigmas = [part.sigma_j for part in parts if part.sigma_j is not None]
    # All trials have the same meters, so what their gain does to one it does to all.
    gains = [min(part.budget.get("gain", 0.0), part.sigma_j or 0.0) for part in parts]
    others = [math.sqrt(sigma**2 - gain**2) for sigma, gain in zip(sigmas, gains, strict=False)]
    whole = bool(parts) and len(gross) == len(parts) and answered > 0 and not material.reason
    total_j = math.fsum(gross) if whole else None
    idle_j = math.fsum(idle) if whole and len(idle) == len(parts) else None
    sigma_j = (
        math.hypot(math.fsum(gains), *others) if idle_j is not None and len(sigmas) == len(parts) else None
    )
    return EnergyRow(
        net_mj=None if total_j is None or idle_j is None else (total_j - idle_j) / answered * 1e3,
        gross_mj=None if total_j is None else total_j / answered * 1e3,
        sigma_mj=None if sigma_j is None else sigma_j / answered * 1e3,
        total_j=total_j,
        idle_j=idle_j,
        origin=weakest(part.origin for part in parts).value if total_j is not None else "",
        scope=scope,
        reason=reason,
        how=_how(material) if total_j is not None else "",
    )


def _how(material: Material) -> str:
    drawn = any(attempt.drawn for attempt in material.attempts)
    metered = any(material.readings)
    return "integrated and modelled" if drawn and metered else "modelled" if drawn else "integrated"


def known_boards(material: Material) -> frozenset[BoardId]:
    """Boards of which some trial has a meter's samples, or the energy as modelled."""
    return frozenset(
        board
        for attempt in material.attempts
        for board in (
            *(block.board for block in attempt.power),
            *(drawn.board for drawn in attempt.drawn if drawn.energy.gross_j is not None),
        )
    )


def board_energies(
    attempt: Attempt, readings: Mapping[BoardId, tuple[Reading, ...]]
) -> dict[BoardId, Energy]:
    """Energy over the load window of every board that was seen; without a figure where it could not be had."""
    found = {drawn.board: drawn.energy for drawn in attempt.drawn}
    found |= {board: each[0].energy for board, each in readings.items()}
    for facts in attempt.boards:
        found.setdefault(facts.id, _nothing(why_none(facts)))
    return dict(sorted(found.items()))


def _attempt_energy(
    attempt: Attempt,
    energies: dict[BoardId, Energy],
    worked: frozenset[BoardId],
    only: Collection[BoardId] | None,
) -> Energy:
    """Energy of all boards that can tell theirs, over one trial's load window."""
    metered = {block.board for block in attempt.power}
    blind = {
        board: energy.reason
        for board, energy in energies.items()
        if board not in metered and energy.gross_j is None
    }
    left_out = {
        board: "not compared" for board in energies if only is not None and board not in {*only, *blind}
    }
    telling = [board for board in energies if board not in {*blind, *left_out}]
    why: dict[str, list[BoardId]] = {}
    for board, reason in sorted({**blind, **left_out}.items()):
        why.setdefault(reason, []).append(board)
    without = ", ".join(f"{name} ({reason})" for reason, names in why.items() for name in several(names))
    if not telling:
        return _nothing(without or "no board was seen", without)
    if worked and not worked.intersection(telling):
        # The idle of bystanders is no cost of this policy, and next to nothing would look like a bargain.
        what = "meter" if metered else "power profile"
        return _nothing(f"no board with a {what} did any of the work: {without}", without)
    lacking = [energies[board] for board in telling if energies[board].gross_j is None]
    if lacking:
        return _nothing("; ".join(energy.reason for energy in lacking), without)
    how: dict[str, list[BoardId]] = {}
    for board in telling:
        how.setdefault(energies[board].scope.removeprefix(board), []).append(board)
    covered = ", ".join(f"{name}{rest}" for rest, names in how.items() for name in several(names))
    scope = f"{covered}, above idle, over the load, per answered request"
    return add_energies(
        [energies[board] for board in telling], f"{scope}; without {without}" if without else scope
    )


def _nothing(reason: str, without: str = "") -> Energy:
    return Energy(
        gross_j=None,
        idle_j=None,
        sigma_j=None,
        scope=f"nothing; without {without}" if without else "nothing",
        origin=Origin.MEASURED,
        reason=reason,
    )
