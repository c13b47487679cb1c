"""Powers and energies of a profile, from what a meter saw of repeated work.

With n executions whose service times add up to s in a span of length t, gross and net energy G and N, and idle power P:
net energy of one is N / n; what it drew while it executed is (G - P (t - s)) / n, so that gaps do not count; the
power while executing is n times that over s. Each is divided by the batch where one item is meant.

Source: JCGM 100:2008 (GUM) 5.1.2 for independent parts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.origin import Origin, weakest
from testbed.model.profile import InferenceEnergy, Metered, Quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.campaign.profiling.journal import EnergySeen

KINDS = ("chip", "rail", "board", "wall")


class PowerFields(Struct, frozen=True, kw_only=True):
    """The fields of a profile that come from a meter, and why some are missing."""

    active_w: Quantity | None = None
    idle_w: Quantity | None = None
    refresh_ms: Quantity | None = None
    energy_mj: tuple[InferenceEnergy, ...] = ()
    remarks: tuple[str, ...] = ()


def power_fields(seen: Sequence[EnergySeen], *, last: int) -> PowerFields:
    """What the windows of work say together.

    Args:
        seen: one per cell. last: the exit whose power at batch 1 stands for the model's.
    """
    remarks = [f"no energy ({one.cell}): {one.reason}" for one in seen if one.gross_j is None]
    if remarks and len(remarks) == len(seen) and len({one.reason for one in seen}) == 1:
        remarks = [f"no energy: {seen[0].reason}"]
    told = [one for one in seen if one.gross_j is not None]
    unclear = [one for one in told if one.metered not in KINDS]
    remarks += [f"no energy ({one.cell}): nobody says what meter {one.meter} covers" for one in unclear]
    told = [one for one in told if one.metered in KINDS]
    kinds = {one.metered for one in told}
    if len(kinds) > 1:
        kind = told[0].metered
        told = [one for one in told if one.metered == kind]
        remarks.append(
            f"only energies of kind {kind} are kept: other windows were metered as {sorted(map(str, kinds))}"
        )
    if not told:
        return PowerFields(remarks=tuple(remarks))
    remarks += [
        f"idle power drifted by {one.idle_drift_w:+.3f} W over a window of work ({one.cell})"
        for one in told
        if one.idle_drift_w is not None and one.sigma_idle_w and abs(one.idle_drift_w) > 2 * one.sigma_idle_w
    ]
    rows = [row for one in told for row in _energies(one)]
    chief = next((one for one in told if one.cell.exit == last and one.cell.batch == 1), None)
    return PowerFields(
        active_w=_active(chief) if chief is not None else None,
        idle_w=_idle(told),
        refresh_ms=_refresh(told),
        energy_mj=tuple(sorted(rows, key=lambda row: (row.exit, row.batch, row.net))),
        remarks=tuple(remarks),
    )


def executing_j(one: EnergySeen) -> tuple[float, float] | None:
    """Gross energy of the executions without the gaps between them, and its standard uncertainty [J]."""
    if one.gross_j is None or one.sigma_gross_j is None:
        return None
    gap_s = max(one.span_s - one.service_s, 0.0)
    idle_w, sigma_idle_w = (one.idle_w or 0.0), (one.sigma_idle_w or 0.0)
    # The gain and offset of both terms are the same error, so the whole of the gross energy's is an upper bound.
    return one.gross_j - idle_w * gap_s, math.hypot(one.sigma_gross_j, sigma_idle_w * gap_s)


def _metered(one: EnergySeen) -> Metered:
    assert one.metered in KINDS, "checked before"
    return Metered(kind=one.metered, what=one.what)  # type: ignore[arg-type]


def _energies(one: EnergySeen) -> list[InferenceEnergy]:
    found = []
    items = one.n * one.cell.batch
    whole = executing_j(one)
    seen = f"{one.samples} samples of {one.meter}"
    how = f"testbed profile: {one.n} executions in {one.span_s:.1f} s between two rests, {seen}"
    for net, known in (
        (False, whole),
        (True, None if one.net_j is None else (one.net_j, one.sigma_j or 0.0)),
    ):
        if known is None:
            continue
        value, sigma = known
        found.append(
            InferenceEnergy(
                batch=one.cell.batch,
                exit=one.cell.exit,
                value=round(value / items * 1e3, 5),
                sigma=round(sigma / items * 1e3, 5),
                origin=Origin(one.origin),
                source=f"{how}; above power at rest" if net else f"{how}; gaps between executions taken out",
                metered=_metered(one),
                net=net,
                n=items,
            )
        )
    return found


def _active(one: EnergySeen) -> Quantity | None:
    whole = executing_j(one)
    if whole is None or one.service_s <= 0:
        return None
    return Quantity(
        value=round(whole[0] / one.service_s, 4),
        origin=Origin(one.origin),
        source=f"testbed profile: energy of {one.n} executions without the gaps, over the sum of their service times",
        sigma=round(whole[1] / one.service_s, 4),
        metered=_metered(one),
    )


def _idle(told: Sequence[EnergySeen]) -> Quantity | None:
    known = [(one.idle_w, one.sigma_idle_w or 0.0) for one in told if one.idle_w is not None]
    if not known:
        return None
    values = [watts for watts, _ in known]
    span = f"{min(values):.3f} to {max(values):.3f} W"
    # What the windows have in common (gain, offset) does not average out, so the largest stays.
    return Quantity(
        value=round(sum(values) / len(values), 4),
        origin=weakest(Origin(one.origin) for one in told),
        source=f"testbed profile: rests before and after {len(known)} window(s) of work, {span}",
        sigma=round(max(sigma for _, sigma in known), 4),
        metered=_metered(told[0]),
    )


def _refresh(told: Sequence[EnergySeen]) -> Quantity | None:
    known = [one.refresh_s for one in told if one.refresh_s is not None]
    if not known:
        return None
    return Quantity(
        value=round(min(known) * 1e3, 3),
        origin=weakest(Origin(one.origin) for one in told),
        source="testbed profile: mean time between samples that differ; renewed at least this often, since equal "
        "values and those that nobody read are not seen",
    )
