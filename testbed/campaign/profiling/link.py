"""The way to the board: its round trip by probes, its rate by orders of two sizes.

On a line of known rate nothing has to be measured. Elsewhere inputs are sent for a lane that the board does not have:
its agent takes the whole order in, and refuses it without executing anything. One input and a quarter of a megabyte of
them are compared, so that what both have in common (round trip, handling of an order) cancels. The smallest of a few
counts, as anything else only adds.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from testbed.campaign.profiling.bench import since
from testbed.campaign.profiling.journal import LinkSeen
from testbed.campaign.profiling.plan import Cell
from testbed.errors import BoardError

if TYPE_CHECKING:
    from testbed.campaign.profiling.bench import ProfileBench

PROBES = 32
LARGE_BYTES = 256 * 1024
TRIES = 5
NO_LANE = 255
REFUSAL = "no-instance"


async def see_link(bench: ProfileBench) -> tuple[LinkSeen | None, str]:
    """Probe the link.

    Returns:
        what was seen, ``None`` where no probe came back, and a remark where no rate could be had.

    Raises:
        LinkError: it was lost.
    """
    await bench.inventory.probe(PROBES)
    seen = bench.inventory.network(bench.board)
    if seen is None:
        return None, "no round trip: no probe came back"
    rate: float | None = seen.up_bytes_per_s if math.isfinite(seen.up_bytes_per_s) else None
    how, remark = "of the line, or of an upload", ""
    if rate is None:
        size = bench.data.of(bench.model).input_bytes
        items = max(math.ceil(LARGE_BYTES / size), 2)
        few, many = await _way_s(bench, 1), await _way_s(bench, items)
        how = f"{items} inputs of {size} bytes against one, taken in by the agent but not executed"
        rate, remark = rate_of(size, items, few, many)
    origin = bench.facts.link_origin
    return LinkSeen(rtt=seen.rtt, up_bytes_per_s=rate, probes=PROBES, origin=origin, how=how), remark


def rate_of(size: int, items: int, few_s: float | None, many_s: float | None) -> tuple[float | None, str]:
    """Bytes per second from the times of one input and of many, or why there is none."""
    if few_s is None or many_s is None:
        return None, f"no rate of the link: the board did not take {items} inputs in as an agent does"
    if many_s - few_s <= few_s / 2:
        return None, f"no rate of the link: {items * size} bytes take hardly longer than {size}"
    return (items - 1) * size / (many_s - few_s), ""


async def _way_s(bench: ProfileBench, items: int) -> float | None:
    """From handing an order over to its refusal [s], the smallest of a few; ``None`` for another answer."""
    cell = Cell(exit=bench.exits - 1, batch=items)
    ways = []
    for _ in range(TRIES):
        start = time.monotonic_ns()
        try:
            await bench.execute(cell, NO_LANE)
        except BoardError as error:
            if not error.message.startswith(REFUSAL):
                return None
            ways.append(since(start))
        else:
            return None
    return min(ways)
