"""Plays a known load on boards with a meter beside them, before and after a trial's load, to put its stamps right."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.errors import BoardError
from testbed.measure.align import find_offset, slots
from testbed.measure.clocksync import ClockBook, fit_clocks
from testbed.measure.trace import total_trace
from testbed.model.ids import BoardId, ModelId
from testbed.model.record import Alignment
from testbed.units import MS, Ns, S, to_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.campaign.bench import Bench
    from testbed.model.lab import BoardFacts
    from testbed.model.record import ClockProbe, PowerSamples

SHORTEST_SLOT: Ns = 250 * MS
LONGEST_SLOT: Ns = 3 * S
SETTLE: Ns = 500 * MS
"""Quiet after a pattern, besides what the meter looks back."""


class Played(Struct, frozen=True, kw_only=True):
    """A pattern as a board executed it.

    Attributes:
        at: its middle, coordinator's clock. spans: boot, start and finish of each execution, board's clock.
        reason: why nothing was played, or an empty string.
    """

    board: BoardId
    at: Ns
    spans: tuple[tuple[int, Ns, Ns], ...] = ()
    reason: str = ""


def beside(bench: Bench) -> dict[BoardId, tuple[str, ...]]:
    """Boards with meters of the lab file, and the names of these."""
    found: dict[BoardId, tuple[str, ...]] = {}
    for name, (table, _) in bench.lab.meters.items():
        found[table.feeds] = (*found.get(table.feeds, ()), name)
    return found


def slot_of(facts: BoardFacts, meters: Iterable[str]) -> Ns | str:
    """Length of a slot: two values of the slowest of these meters and a bit, so that edges meet it in any phase.

    Returns:
        nanoseconds, or why no pattern can be played for such meters.
    """
    known = [facts.meters[name] for name in meters if name in facts.meters]
    slowest = max((max(traits.period_ns, traits.window_ns) for traits in known), default=0)
    slot = max(SHORTEST_SLOT, 2 * slowest) + slowest * 382 // 1000
    if slot > LONGEST_SLOT:
        return f"a meter with a value every {to_s(slowest):g} s is too slow to be aligned by a pattern"
    return slot


async def play_patterns(bench: Bench) -> tuple[Played, ...]:
    """Play the pattern on all such boards at once; bounded by 15 slots of 3 s and one execution."""
    boards = beside(bench)
    if not boards:
        return ()
    try:
        await bench.inventory.restore()
    except BoardError as error:
        now = time.monotonic_ns()
        return tuple(Played(board=board, at=now, reason=f"the pattern broke: {error}") for board in boards)
    made = await asyncio.gather(*(_play(bench, board, meters) for board, meters in boards.items()))
    await asyncio.sleep(to_s(SETTLE + LONGEST_SLOT // 2))
    return tuple(made)


def align_meters(
    played: Sequence[Played],
    meters: Mapping[BoardId, tuple[str, ...]],
    facts: Mapping[BoardId, BoardFacts],
    samples: Sequence[PowerSamples],
    probes: Iterable[ClockProbe],
) -> tuple[Alignment, ...]:
    """What each pattern tells of each meter beside its board.

    Args:
        samples: of meters beside boards. probes: of the boards' clocks.
    """
    clocks = fit_clocks(probes)
    return tuple(
        _align(pattern, meter, facts[pattern.board], samples, clocks)
        for pattern in played
        for meter in meters.get(pattern.board, ())
    )


async def _play(bench: Bench, board: BoardId, meters: tuple[str, ...]) -> Played:
    begun = time.monotonic_ns()
    slot = slot_of(bench.inventory.facts[board], meters)
    spec = bench.inventory.specs[board]
    models = tuple(spec.models) if spec.resident is None else spec.resident
    if isinstance(slot, str):
        return Played(board=board, at=begun, reason=slot)
    if not models:
        return Played(board=board, at=begun, reason="the board has no model to execute")
    model = max(models, key=lambda name: (_service_ms(bench, board, name), name))
    task = bench.data.of(model)
    spans: list[tuple[int, Ns, Ns]] = []
    sample = 0
    try:
        for place, on in enumerate(slots()):
            end = begun + (place + 1) * slot
            while on and time.monotonic_ns() < end:
                sample = (sample + 1) % len(task.images)
                done = await bench.inventory.execute(board, model, task.inputs((sample,)), (sample,))
                spans.append((done.boot, done.execution.started, done.execution.finished))
            await asyncio.sleep(max(end - time.monotonic_ns(), 0) / S)
    except BoardError as error:
        return Played(board=board, at=begun, reason=f"the pattern broke: {error}")
    return Played(board=board, at=(begun + time.monotonic_ns()) // 2, spans=tuple(spans))


def _service_ms(bench: Bench, board: BoardId, model: ModelId) -> float:
    profile = bench.profiles.find(board, model)
    return profile.service[-1].ms[-1] if profile is not None and profile.service else 0.0


def _align(
    played: Played, meter: str, facts: BoardFacts, samples: Sequence[PowerSamples], clocks: ClockBook
) -> Alignment:
    def without(reason: str) -> Alignment:
        return Alignment(board=played.board, meter=meter, at=played.at, reason=reason)

    if played.reason:
        return without(played.reason)
    blocks = [block for block in samples if (block.board, block.meter) == (played.board, meter)]
    trace = total_trace(blocks, clocks, facts.meters.get(meter))
    if isinstance(trace, str):
        return without(trace)
    spans: list[tuple[int, int]] = []
    for boot in sorted({boot for boot, _, _ in played.spans}):
        stamps = np.asarray([(a, b) for k, a, b in played.spans if k == boot], dtype=np.int64)
        converted = clocks.convert(played.board, boot, stamps.ravel())
        if converted is None:
            return without(f"{played.board}: its clock was never probed")
        spans += [(int(a), int(b)) for a, b in converted[0].reshape(-1, 2)]
    found = find_offset(trace, np.asarray(spans, dtype=np.int64).reshape(-1, 2))
    return Alignment(
        board=played.board,
        meter=meter,
        at=played.at,
        offset=found.offset,
        error=found.error,
        correlation=found.correlation,
        reason=found.reason,
    )


class Ear:
    """What a trial hears that its meters are judged and aligned by: samples, and clock probes."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.samples: list[PowerSamples] = []
        self.probes: list[ClockProbe] = []
