"""The board's condition between blocks: waiting until it is as cool as at the start, and what was out of order.

Every wait is bounded; a board that tells no temperature is not waited for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    Read = Callable[[], Awaitable[str]]
    Sleep = Callable[[float], Awaitable[None]]

CALM_C = 1.0
"""A temperature that moves by less than this in `CALM_S` has settled."""
CALM_S = 5.0
WARMER_C = 5.0
"""Blocks begin at most so much above the temperature of the start."""
PATIENCE_S = 60.0
CLOCK_FRAC = 0.05
"""Clocks under load that differ by more than this from block to block are flagged."""


class Seen(Struct, frozen=True, kw_only=True):
    """What a board told of itself; see ``condition`` of the agent."""

    temperature_c: dict[str, float] = {}
    clock_hz: dict[str, float] = {}
    slowed: tuple[str, ...] = ()

    @property
    def hottest_c(self) -> float | None:
        """The hottest sensor, ``None`` where the board has none."""
        return max(self.temperature_c.values(), default=None)


def seen(text: str) -> Seen:
    """Read what the board told; nothing for an empty text or one of another kind."""
    try:
        return msgspec.json.decode(text or "{}", type=Seen)
    except msgspec.DecodeError:
        return Seen()


async def await_calm(
    read: Read, *, sleep: Sleep = asyncio.sleep, patience_s: float = PATIENCE_S
) -> tuple[float | None, str]:
    """Wait until the temperature has settled.

    Returns:
        the hottest sensor then, ``None`` where there is none; and a remark if it had not settled.
    """
    last = seen(await read()).hottest_c
    waited = 0.0
    while last is not None:
        if waited >= patience_s:
            return last, f"the temperature had not settled after {patience_s:.0f} s, at {last:.1f} °C"
        await sleep(CALM_S)
        waited += CALM_S
        now = seen(await read()).hottest_c
        if now is None or abs(now - last) < CALM_C:
            return now, ""
        last = now
    return None, ""


async def cool_down(
    read: Read, start_c: float | None, *, sleep: Sleep = asyncio.sleep, patience_s: float = PATIENCE_S
) -> tuple[str, str]:
    """Wait until the board is at most `WARMER_C` above the start.

    Returns:
        its condition then, and a remark if it is warmer still.
    """
    waited = 0.0
    while True:
        text = await read()
        now = seen(text).hottest_c
        if start_c is None or now is None or now <= start_c + WARMER_C:
            return text, ""
        if waited >= patience_s:
            return (
                text,
                f"a block began at {now:.1f} °C after {patience_s:.0f} s of cooling, {start_c:.1f} °C at the start",
            )
        await sleep(1.0)
        waited += 1.0


def temperatures(texts: Iterable[str]) -> tuple[float, ...]:
    """Lowest and highest temperature among conditions; empty where none tells any."""
    known = [c for text in texts if (c := seen(text).hottest_c) is not None]
    return (min(known), max(known)) if known else ()


def flags(after: Iterable[str]) -> list[str]:
    """What was out of order at the ends of blocks: throttling, and clocks that were not the same throughout.

    Args:
        after: the condition as each block ended.
    """
    conditions = [seen(text) for text in after]
    found = []
    slowed = [one for one in conditions if one.slowed]
    if slowed:
        by = ", ".join(sorted({name for one in slowed for name in one.slowed}))
        found.append(f"throttled by {by} at the end of {len(slowed)} of {len(conditions)} blocks")
    for name in sorted({name for one in conditions for name in one.clock_hz}):
        rates = [one.clock_hz[name] for one in conditions if name in one.clock_hz]
        if max(rates) > min(rates) * (1 + CLOCK_FRAC):
            found.append(
                f"clock of {name} between {min(rates) / 1e6:.0f} and {max(rates) / 1e6:.0f} MHz at the ends of blocks"
            )
    return found
