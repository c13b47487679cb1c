"""One block of timed executions: each lane executes the cell's batch again and again, one at a time.

Service time is start to finish on the board's own clock, so the link does not enter. Where several lanes are to be busy
at the same time, each has a few orders waiting, or they would mostly wait for the link and hardly meet.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.campaign.profiling.bench import since
from testbed.campaign.profiling.journal import Block
from testbed.campaign.profiling.warmup import SHORTEST, find_warmup
from testbed.campaign.services import on_this_host
from testbed.errors import BoardError
from testbed.measure.environment import contended, host_use, snapshot
from testbed.units import Ns, to_s

if TYPE_CHECKING:
    from testbed.campaign.profiling.bench import ProfileBench
    from testbed.campaign.profiling.plan import Cell
    from testbed.model.ids import BoardId

LONGEST = 100
"""Executions of a block; with more, blocks would be few."""
DEPTH = 4
"""Orders on the way to each lane, where lanes are to be busy together."""
LONG_S = 2.0
"""A block ends after this time, if it has what a warm-up can be told from."""


class _Run(Struct, frozen=True):
    started: Ns
    finished: Ns


async def run_block(
    bench: ProfileBench, cell: Cell, *, cold: bool, most: int = LONGEST, before: str = ""
) -> Block:
    """Execute a block and find its warm-up.

    Args:
        cold: the cell's first block.
        most: executions in each lane; fewer where they take long, but never under what a warm-up can be told from.
        before: the board's condition as it begins.

    Raises:
        BoardError: an execution failed.
    """
    here = on_this_host([bench.facts])
    start, began = time.monotonic_ns(), snapshot(pids=here)
    runs: list[_Run] = []
    depth = 1 if cell.alone else DEPTH
    ordered = [0] * cell.instances
    working = cell.instances * depth

    async def work(lane: int) -> None:
        nonlocal working
        while ordered[lane] < SHORTEST or (ordered[lane] < most and since(start) < LONG_S):
            ordered[lane] += 1
            try:
                execution = (await bench.execute(cell, lane)).execution
            except BoardError as error:
                raise _named(error, cell, bench.board) from error
            runs.append(_Run(execution.started, execution.finished))
        working -= 1

    async def work_beside(lane: int) -> None:
        while working:
            await bench.execute_beside(cell, lane)

    async with asyncio.TaskGroup() as group:
        for _ in range(depth):
            for lane in range(cell.instances):
                group.create_task(work(lane))
            if cell.beside:
                group.create_task(work_beside(cell.instances))
    runs.sort(key=lambda run: run.finished)
    times = tuple(run.finished - run.started for run in runs)
    warm = find_warmup(times, cold=cold)
    use = host_use(began, snapshot(pids=here))
    return Block(
        cell=cell,
        ns=times,
        warmup=warm.length,
        settled=warm.settled,
        wall_s=round(since(start), 4),
        items_per_s=_rate(runs[warm.length :], cell.batch),
        contended=bool(here) and bool(contended(use)),
        before=before,
        after=await bench.condition(),
    )


def _named(error: BoardError, cell: Cell, board: BoardId) -> BoardError:
    """The same error, with what was executed."""
    cure = error.cure or ("If that is too much for it, give smaller batches" if cell.batch > 1 else "")
    return BoardError(f"{cell}: {error.message}", board=board, traceback=error.traceback, cure=cure)


def _rate(runs: list[_Run], batch: int) -> float:
    """Items finished in a second, from the first end to the last."""
    took = to_s(runs[-1].finished - runs[0].finished) if runs else 0.0
    return round((len(runs) - 1) * batch / took, 3) if took > 0 else 0.0
