"""From a finished journal to the profile: nothing is measured here, so it can be done again."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed.campaign.profiling.energies import power_fields
from testbed.campaign.profiling.journal import AccuracySeen, Block, EnergySeen, LinkSeen, LoadSeen, Remark
from testbed.campaign.profiling.stopping import StopRule
from testbed.measure.stats import quantile
from testbed.model.origin import Origin
from testbed.model.profile import Concurrent, Confidence, HwProfile, Provenance, Quantity, Service
from testbed.units import to_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testbed.campaign.profiling.journal import Entry
    from testbed.campaign.profiling.plan import Cell, Plan
    from testbed.model.ids import TaskId
    from testbed.model.profile import Stopped

GRID = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
"""Where quantiles are kept; virtual boards and predictions go straight from one to the next."""
SERVICE = "testbed profile: start to finish on the board's clock, one batch at a time"
DIFFERS_FRAC = 0.95
"""A board that gives the stored label less often than this computes something else than what is stored."""


def kept(entries: Sequence[Entry], cell: Cell) -> list[int]:
    """Service times of a cell after the warm-up of each block [ns]."""
    return [ns for block in blocks_of(entries, cell) for ns in block.ns[block.warmup :]]


def blocks_of(entries: Sequence[Entry], cell: Cell) -> list[Block]:
    """The blocks of a cell, in the order they were measured."""
    return [entry for entry in entries if isinstance(entry, Block) and entry.cell == cell]


def assemble(
    plan: Plan,
    entries: Sequence[Entry],
    *,
    folder: str,
    task: TaskId,
    exits: int,
    sha256: tuple[str, ...],
    origin: Origin,
    provenance: Provenance,
) -> HwProfile:
    """The profile that a journal's entries make.

    Args:
        plan: of these entries. folder: name the profile goes by. exits, sha256: of the model.
        origin: of the board's times. provenance: what is known besides; remarks are added.
    """
    services, concurrent = [], []
    for cell in plan.cells(exits):
        blocks = blocks_of(entries, cell)
        times = np.asarray(kept(entries, cell)[: plan.repeats], dtype=np.float64)
        if not times.size:
            continue
        cells_origin = Origin.CONTENDED if any(block.contended for block in blocks) else origin
        if cell.alone:
            services.append(_service(plan, cell, times, blocks, cells_origin))
        else:
            concurrent.append(_concurrent(plan, cell, times, blocks, cells_origin))
    judged = {entry.exit: entry for entry in entries if isinstance(entry, AccuracySeen)}
    seen = [entry for entry in entries if isinstance(entry, EnergySeen)]
    power = power_fields(seen, last=exits - 1)
    load = next((entry for entry in entries if isinstance(entry, LoadSeen)), None)
    link = next((entry for entry in entries if isinstance(entry, LinkSeen)), None)
    return HwProfile(
        schema=1,
        board=folder,
        model=plan.model,
        task=task,
        service=tuple(services),
        accuracy=tuple(_accuracy(judged[e], origin) for e in sorted(judged)),
        class_accuracy=tuple(judged[e].recall for e in sorted(judged)),
        sha256=sha256,
        active_w=power.active_w,
        idle_w=power.idle_w,
        load_ms=_load(load, origin) if load is not None else None,
        memory_bytes=_memory(load, origin) if load is not None else None,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        energy_mj=power.energy_mj,
        confidence=tuple(_curve(judged[e], origin) for e in sorted(judged)),
        concurrent=tuple(concurrent),
        link_rtt_ms=_rtt(link) if link is not None else None,
        link_bytes_per_s=_rate(link) if link is not None else None,
        meter_refresh_ms=power.refresh_ms,
        provenance=_remarked(provenance, entries, judged, power.remarks, exits, plan),
    )


def _service(
    plan: Plan, cell: Cell, times: NDArray[np.float64], blocks: list[Block], origin: Origin
) -> Service:
    known = [quantile(times, q).interval for q in (0.5, 0.99)]
    p50, p99 = (() if span is None else tuple(round(to_ms(end), 4) for end in span) for span in known)
    return Service(
        batch=cell.batch,
        exit=cell.exit,
        p=GRID,
        ms=_grid(times),
        origin=origin,
        source=SERVICE,
        n=times.size,
        warmup=sum(block.warmup for block in blocks),
        p50_ms=p50,
        p99_ms=p99,
        stopped=_stopped(plan, times, blocks),
    )


def _concurrent(
    plan: Plan, cell: Cell, times: NDArray[np.float64], blocks: list[Block], origin: Origin
) -> Concurrent:
    weights = [len(block.ns) - block.warmup for block in blocks]
    beside = f", {cell.beside} in one lane more" if cell.beside else ""
    return Concurrent(
        batch=cell.batch,
        exit=cell.exit,
        instances=cell.instances,
        beside=cell.beside,
        p=GRID,
        ms=_grid(times),
        items_per_s=round(float(np.average([block.items_per_s for block in blocks], weights=weights)), 3),
        origin=origin,
        source=f"testbed profile: start to finish on the board's clock, {cell.instances} lane(s) busy{beside}",
        n=times.size,
        warmup=sum(block.warmup for block in blocks),
        stopped=_stopped(plan, times, blocks),
    )


def _stopped(plan: Plan, times: NDArray[np.float64], blocks: list[Block]) -> Stopped:
    """Why a cell was not executed more often."""
    rule = StopRule(ci_frac=plan.ci_frac, p99=plan.p99, repeats=plan.repeats)
    return rule.stop(times.astype(int).tolist(), len(blocks)) or "budget"


def _grid(times: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(to_ms(float(q)), 4) for q in np.quantile(times, GRID))


def _how(judged: AccuracySeen) -> str:
    """Where the answers come from."""
    audited = judged.agreed is not None
    audit = f"; the stored label on {judged.agreed} of {judged.executed} executed" if audited else ""
    if judged.stored:
        return f"stored predictions of the catalogue, not executed for lack of time{audit}"
    return f"executed on the board{audit}"


def _accuracy(judged: AccuracySeen, origin: Origin) -> Quantity:
    share = judged.correct / judged.n
    return Quantity(
        value=round(share, 6),
        origin=origin,
        source=f"testbed profile: {judged.correct} of {judged.n} calibration images right, {_how(judged)}",
        sigma=round(math.sqrt(share * (1 - share) / judged.n), 6),
    )


def _curve(judged: AccuracySeen, origin: Origin) -> Confidence:
    return Confidence(
        exit=judged.exit,
        threshold=judged.threshold,
        kept_frac=judged.kept_frac,
        accuracy=judged.kept_accuracy,
        n=judged.n,
        origin=origin,
        source=f"testbed profile: calibration set, {_how(judged)}",
    )


def _load(load: LoadSeen, origin: Origin) -> Quantity:
    times = np.asarray(load.ns, dtype=np.float64)
    spread = float(times.std(ddof=1)) / math.sqrt(times.size) if times.size > 1 else None
    return Quantity(
        value=round(to_ms(float(np.median(times))), 3),
        origin=origin,
        source=f"testbed profile: median of {times.size} loads from the board's disk to ready, unloaded before each, "
        f"{to_ms(times.min()):.1f} to {to_ms(times.max()):.1f} ms ({load.text})",
        sigma=None if spread is None else round(to_ms(spread), 3),
    )


def _memory(load: LoadSeen, origin: Origin) -> Quantity | None:
    told = [size for size in load.memory_bytes if size > 0]
    if not told:
        return None
    return Quantity(
        value=float(max(told)),
        origin=origin,
        source=f"testbed profile: most that the runtime said of one instance in {len(load.memory_bytes)} loads",
    )


def _rtt(link: LinkSeen) -> Quantity:
    return Quantity(
        value=round(to_ms(link.rtt), 4),
        origin=Origin(link.origin),
        source=f"testbed profile: smallest round trip of {link.probes} probes over the board's link",
    )


def _rate(link: LinkSeen) -> Quantity | None:
    if link.up_bytes_per_s is None:
        return None
    return Quantity(
        value=round(link.up_bytes_per_s),
        origin=Origin(link.origin),
        source=f"testbed profile: rate towards the board, {link.how}",
    )


def _remarked(
    provenance: Provenance,
    entries: Sequence[Entry],
    judged: dict[int, AccuracySeen],
    energy: Sequence[str],
    exits: int,
    plan: Plan,
) -> Provenance:
    """With what a reader should know besides."""
    found = [entry.text for entry in entries if isinstance(entry, Remark)]
    for cell in plan.cells(exits):
        late = sum(not block.settled for block in blocks_of(entries, cell))
        if late:
            found.append(
                f"{cell}: {late} block(s) had not settled when half of it was over, which was left out"
            )
    for exit_, one in sorted(judged.items()):
        if one.agreed is not None and one.agreed < DIFFERS_FRAC * one.executed:
            found.append(
                f"exit {exit_}: the board gives the stored label on only {one.agreed} of {one.executed}"
            )
    return msgspec.structs.replace(provenance, remarks=tuple(dict.fromkeys([*found, *energy])))
