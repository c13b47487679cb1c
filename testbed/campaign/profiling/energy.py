"""Energy of an inference: the same work repeated for seconds between two rests, then divided.

One execution is shorter than what a meter resolves; thousands are not. Several are under way at a time, so that the
board need not wait for the link. Gaps that remain cost power at rest, which the net energy leaves out in any
case; they are taken out of the gross one too (`testbed.campaign.profiling.energies`).
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed.campaign.profiling.bench import since
from testbed.campaign.profiling.journal import EnergySeen
from testbed.measure.clocksync import fit_clocks
from testbed.measure.energy import EnergyBook, Idle
from testbed.measure.trace import total_trace
from testbed.units import Ns, to_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.campaign.profiling.bench import ProfileBench
    from testbed.campaign.profiling.plan import Cell
    from testbed.model.energy import PowerTrace
    from testbed.model.execution import Execution
    from testbed.model.lab import BoardFacts
    from testbed.model.meter import MeterTraits
    from testbed.model.record import PowerSamples

PERIODS = 20
"""Work and rests last at least so many values of the meter each."""
PROBES = 8
DEPTH = 4
ARRIVAL_S = 3.0
FEWEST_CHANGES = 10
WIDEST_FIRST = ("wall", "board", "rail", "chip")


async def meter_cell(bench: ProfileBench, cell: Cell, seconds: float) -> EnergySeen:
    """Rest, work, rest, and what the widest meter saw of it.

    Args:
        seconds: of work at least; longer where the meter is slow.

    Raises:
        BoardError: an execution failed.
    """
    heard = bench.heard
    names = await _streaming(bench)
    if not names:
        return EnergySeen(cell=cell, meter="", reason=why_unmetered(bench.facts))
    period = max((t.period_ns for m, t in bench.facts.meters.items() if m in names), default=0)
    work_s = max(seconds, PERIODS * to_s(period))
    rest_s = max(work_s / 2, PERIODS * to_s(period))
    heard.power.clear()
    before = await _rest(bench, rest_s)
    runs, boot = await _work(bench, cell, work_s)
    after = await _rest(bench, rest_s)
    await heard.until_heard(names, ARRIVAL_S, after=len(heard.power))
    clocks = fit_clocks(heard.probes)
    edges = np.asarray([min(r.started for r in runs), max(r.finished for r in runs)], dtype=np.int64)
    placed = clocks.convert(bench.board, boot, edges)
    if placed is None:
        return EnergySeen(
            cell=cell, meter="", reason="the board's clock was never probed, so its work has no place in time"
        )
    span = (int(placed[0][0]), int(placed[0][1]))
    best: EnergySeen | None = None
    for meter in sorted(names, key=lambda name: _rank(bench.facts.meters.get(name))):
        traits = bench.facts.meters.get(meter)
        blocks = [block for block in heard.power if block.meter == meter]
        trace = total_trace(blocks, clocks, traits)
        if isinstance(trace, str):
            told = EnergySeen(cell=cell, meter=meter, reason=trace)
        else:
            told = weigh(cell, trace, span, (before, after), runs)
        told = _described(told, bench.facts, meter, traits, blocks)
        if told.net_j is not None:
            return told
        best = best or told
    assert best is not None, "a meter streams, so it was asked"
    return best


def weigh(
    cell: Cell,
    trace: PowerTrace,
    span: tuple[Ns, Ns],
    rests: Sequence[tuple[Ns, Ns]],
    runs: Sequence[Execution],
) -> EnergySeen:
    """What a trace says of the work in ``span`` and of the rests around it, all on the coordinator's clock."""
    book = EnergyBook(trace)
    idle = book.idle(rests)
    energy = book.energy(span, idle)
    return EnergySeen(
        cell=cell,
        meter=trace.meter,
        n=len(runs),
        span_s=to_s(span[1] - span[0]),
        service_s=to_s(sum(run.finished - run.started for run in runs)),
        gross_j=energy.gross_j,
        net_j=energy.net_j,
        sigma_j=energy.sigma_j,
        sigma_gross_j=energy.sigma_gross_j,
        idle_w=idle.power_w,
        sigma_idle_w=_idle_sigma(idle, trace),
        idle_drift_w=idle.drift_w,
        samples=energy.samples,
        origin=trace.origin.value,
        reason=energy.reason,
    )


def refresh_s(blocks: Sequence[PowerSamples]) -> float | None:
    """Mean time from one new reading to the next [s]; ``None`` with too few.

    A reading is new where any rail differs from the one before. Equal values that follow each other cannot be told
    apart, and a meter that is read less often than it is renewed shows the time between readings: so the meter is
    renewed at least this often.
    """
    t = np.concatenate([np.asarray(block.t, dtype=np.int64) for block in blocks]) if blocks else np.zeros(0)
    rows = [np.asarray(block.power_w).reshape(len(block.t), len(block.rails)) for block in blocks if block.t]
    if t.size < FEWEST_CHANGES:
        return None
    fresh = np.flatnonzero((np.diff(np.concatenate(rows), axis=0) != 0).any(axis=1))
    if fresh.size < FEWEST_CHANGES:
        return None
    return to_s(float(t[fresh[-1] + 1] - t[fresh[0] + 1])) / (fresh.size - 1)


def why_unmetered(facts: BoardFacts) -> str:
    """Why no meter streams."""
    there = facts.facts.get("meters")
    if isinstance(there, dict) and there:
        return f"the board has a meter ({', '.join(there)}), but meter_period_ms is 0 in its table of the lab file"
    absent = facts.facts.get("meters_absent")
    why = "; ".join(f"{name}: {text}" for name, text in absent.items()) if isinstance(absent, dict) else ""
    return "no meter: none of the lab feeds this board, and it has none itself" + (f" ({why})" if why else "")


async def _streaming(bench: ProfileBench) -> list[str]:
    """Meters whose samples arrive; waits for the first ones."""
    if bench.facts.facts.get("meter") or bench.facts.meters:
        await bench.heard.until_heard((), ARRIVAL_S)
    return sorted({block.meter for block in bench.heard.power if block.t})


async def _rest(bench: ProfileBench, seconds: float) -> tuple[Ns, Ns]:
    await bench.inventory.probe(PROBES)
    begun = time.monotonic_ns()
    await asyncio.sleep(seconds)
    ended = time.monotonic_ns()
    await bench.inventory.probe(PROBES)
    return begun, ended


async def _work(bench: ProfileBench, cell: Cell, seconds: float) -> tuple[list[Execution], int]:
    """Executions until the time is over, and the connection they were made on."""
    start = time.monotonic_ns()
    runs: list[Execution] = []
    boots: set[int] = set()

    async def repeat() -> None:
        while since(start) < seconds or len(runs) < DEPTH:
            executed = await bench.execute(cell)
            runs.append(executed.execution)
            boots.add(executed.boot)

    async with asyncio.TaskGroup() as group:
        for _ in range(DEPTH):
            group.create_task(repeat())
    return runs, max(boots)


def _rank(traits: MeterTraits | None) -> int:
    kind = traits.metered if traits is not None else None
    return WIDEST_FIRST.index(kind) if kind in WIDEST_FIRST else len(WIDEST_FIRST)


def _idle_sigma(idle: Idle, trace: PowerTrace) -> float | None:
    if idle.power_w is None:
        return None
    return math.hypot(idle.sigma_w or 0.0, trace.traits.gain_frac * idle.power_w, trace.offset_w)


def _described(
    told: EnergySeen,
    facts: BoardFacts,
    meter: str,
    traits: MeterTraits | None,
    blocks: Sequence[PowerSamples],
) -> EnergySeen:
    """With what the meter covers, and how wrong it may be."""
    about = facts.facts.get("meters", {}).get(meter, {})
    total = "+".join(blocks[-1].total) if blocks else ""
    scope = str(about.get("scope") or about.get("identity") or meter)
    accuracy = ""
    if traits is not None:
        source = traits.sources.get("gain_frac", "")
        accuracy = f"standard uncertainty of the gain {traits.gain_frac:.2%}" + (
            f" ({source})" if source else ""
        )
    return msgspec.structs.replace(
        told,
        metered=traits.metered if traits is not None else None,
        what=f"{total}: {scope}" if total else scope,
        accuracy=accuracy,
        refresh_s=refresh_s(blocks),
    )
