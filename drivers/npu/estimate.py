"""Cycles that commands take, by the microarchitecture that docs/edge-npu.md describes; an estimate, not a measurement.

Array: 16 outputs x 8 inputs a cycle. A convolution spends ``in_groups * kernel^2`` cycles on a pixel of 16
channels, but at least what requantising and writing take. Transfers move a word of 8 bytes a cycle, in bursts.
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
        start: from START to the first command's issue, and per command fetched behind an idle engine.
        pixel_least: requantisation of 16 channels by four multipliers.
        conv_tail, other_tail: from the last operand read to the last word written.
        burst_words: words of an AXI burst. burst_gap: cycles lost between bursts. latency: of a transfer's first word.
        record: writing the result record at the end.
    """

    start: int = 40
    pixel_least: int = 4
    conv_tail: int = 16
    other_tail: int = 8
    burst_words: int = 16
    burst_gap: int = 0
    latency: int = 30
    record: int = 40


def cycles(command: Command, timing: Timing | None = None) -> int:
    """Cycles from a command's issue to its end."""
    t = timing or Timing()
    match command:
        case Load() | Store():
            words = command.length // 8
            return t.latency + words + words // t.burst_words * t.burst_gap
        case Conv():
            pixel = max(command.in_groups * command.kernel**2, t.pixel_least)
            return command.out_groups * command.out_height * command.out_width * pixel + t.conv_tail
        case Add():
            return command.words + t.other_tail
        case MaxPool():
            return command.groups * command.height * command.width + t.other_tail
        case AvgPool():
            return command.groups * (command.height * command.width + t.other_tail)
        case Exit():
            return 2 * command.classes + t.other_tail
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cycles of a run: until DONE by exit number, and of computing by tag."""

    exits: dict[int, int]
    layers: dict[int, int]


def estimate(run: Sequence[Command], timing: Timing | None = None) -> Estimate:
    """Follow both engines through a list, waits included."""
    t = timing or Timing()
    now, dma_free, compute_free = t.start, 0, 0
    exits: dict[int, int] = {}
    layers: dict[int, int] = {}
    for command in run:
        if isinstance(command, End):
            break
        spent = cycles(command, t)
        engine = dma_free if command.TRANSFER else compute_free
        begin = max(now, engine)
        if command.wait_dma:
            begin = max(begin, dma_free)
        if command.wait_compute:
            begin = max(begin, compute_free)
        now = begin
        if command.TRANSFER:
            dma_free = begin + spent
        else:
            compute_free = begin + spent
            layers[command.tag] = layers.get(command.tag, 0) + spent
        if isinstance(command, Exit):
            exits[command.number] = max(compute_free, dma_free) + t.record
    return Estimate(exits=exits, layers=layers)


def ideal(macs: int) -> float:
    """Cycles if every multiplier worked in every one."""
    return macs / (16 * LANES)
