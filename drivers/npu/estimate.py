"""Cycles that commands take, from the microarchitecture that docs/edge-npu.md describes: an estimate to plan with.

The array multiplies 16 outputs by 8 inputs a cycle: a convolution spends ``in_groups * kernel^2`` cycles on a pixel
of 16 channels, but at least what requantising takes. Transfers move a word of 8 bytes a cycle. The next command is
fetched while the present one runs, so that short ones wait for their successor. Constants were fitted to single
commands on the RTL with a memory latency of 40 cycles (``drivers.npu.simulator.DdrTiming``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.npu.isa import LANES, Add, AvgPool, Command, Conv, End, Exit, Load, MaxPool, Store

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Constants of the model, cycles.

    Attributes:
        start: from START to the first command's issue. fetch: least distance of two issues.
        pixel_least: requantisation of 16 channels by four multipliers.
        add_word: two operands through one port.
        conv, add, pool, mean, leave: what a command takes besides its words; ``mean`` also once a group.
        latency: of a transfer, besides its words. record: from leaving to DONE.
    """

    start: int = 52
    fetch: int = 50
    pixel_least: int = 4
    add_word: int = 2
    conv: int = 23
    add: int = 9
    pool: int = 6
    mean: int = 15
    leave: int = 29
    latency: int = 51
    record: int = 57


def cycles(command: Command, timing: Timing | None = None) -> int:
    """Cycles from a command's issue to its end."""
    t = timing or Timing()
    match command:
        case Load() | Store():
            return command.length // 8 + t.latency
        case Conv():
            pixel = max(command.in_groups * command.kernel**2, t.pixel_least)
            return command.out_groups * command.out_height * command.out_width * pixel + t.conv
        case Add():
            return t.add_word * command.words + t.add
        case MaxPool():
            return command.groups * command.height * command.width + t.pool
        case AvgPool():
            return command.groups * (command.height * command.width + 1) + t.mean
        case Exit():
            return t.leave
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cycles of a run: until DONE by exit number, and of computing by tag."""

    exits: dict[int, int]
    layers: dict[int, int]


def estimate(run: Sequence[Command], timing: Timing | None = None) -> Estimate:
    """Follow both engines through a list, waits included."""
    t = timing or Timing()
    fetched, dma_free, compute_free = t.start, 0, 0
    exits: dict[int, int] = {}
    layers: dict[int, int] = {}
    for command in run:
        if isinstance(command, End):
            break
        spent = cycles(command, t)
        engine = dma_free if command.TRANSFER else compute_free
        begin = max(fetched, engine)
        if command.wait_dma:
            begin = max(begin, dma_free)
        if command.wait_compute:
            begin = max(begin, compute_free)
        fetched = begin + t.fetch
        if command.TRANSFER:
            dma_free = begin + spent
        else:
            compute_free = begin + spent
            layers[command.tag] = layers.get(command.tag, 0) + spent
        if isinstance(command, Exit):
            fetched = max(fetched, compute_free)  # nothing issues before it is known who stays
            exits[command.number] = max(compute_free, dma_free) + t.record
    return Estimate(exits=exits, layers=layers)


def ideal(macs: int) -> float:
    """Cycles if every multiplier worked in every one."""
    return macs / (16 * LANES)
