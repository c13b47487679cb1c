"""Check a command list as the device runs it: transfers beside computations, waits only where a flag says so.

Rule of issue (docs/edge-npu.md): commands issue in list order; a computation issues when the one before it has
ended, a transfer when the one before it has. Two commands that can be under way together must not touch the same
place if one of them writes it, and nothing may be read that was never written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from drivers.npu.isa import (
    LANES,
    ROWS,
    UNIT_BYTES,
    Add,
    AvgPool,
    Command,
    Conv,
    End,
    Exit,
    Load,
    MaxPool,
    Memory,
    Overlay,
    Store,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Region(NamedTuple):
    """Units ``start`` to before ``end`` of a memory."""

    memory: Memory
    start: int
    end: int

    def meets(self, other: Region) -> bool:
        """Whether they share a unit."""
        return self.memory == other.memory and self.start < other.end and other.start < self.end


def _act(start: int, words: int) -> Region:
    return Region(Memory.ACT, start, start + words)


def touched(command: Command) -> tuple[list[Region], list[Region]]:
    """Regions that a command reads and writes."""
    match command:
        case Load():
            memory = Memory(command.memory)
            units = command.length // UNIT_BYTES[memory]
            return [], [Region(memory, command.address, command.address + units)]
        case Store():
            return [_act(command.address, command.length // LANES)], []
        case Conv():
            words = command.out_groups * command.in_groups * command.kernel**2
            area = command.out_height * command.out_width
            channels = command.out_groups * ROWS
            return [
                _act(command.source, command.in_groups * command.in_height * command.in_width),
                Region(Memory.WGT, command.weights, command.weights + words),
                Region(Memory.PAR, command.channel, command.channel + channels),
            ], [_act(command.target, channels // LANES * area)]
        case Add():
            reads = [_act(command.a, command.words), _act(command.b, command.words)]
            return reads, [_act(command.target, command.words)]
        case MaxPool():
            area = command.height * command.width
            pooled = (command.height // command.kernel) * (command.width // command.kernel)
            return [_act(command.source, command.groups * area)], [
                _act(command.target, command.groups * pooled)
            ]
        case AvgPool():
            area = command.height * command.width
            return [_act(command.source, command.groups * area)], [_act(command.target, command.groups)]
        case Exit():
            words = -(-command.classes // LANES)
            return [
                _act(command.source, words),
                Region(Memory.TAB, command.table, command.table + 1),
            ], []
    return [], []


def faults(
    run: Sequence[Command], setup: Iterable[Command] = (), overlay: Overlay | None = None
) -> list[str]:
    """What is wrong with ``run`` after ``setup``, one sentence each; empty if nothing is."""
    sizes = overlay or Overlay()
    written = {memory: np.zeros(sizes.size(memory), bool) for memory in Memory}
    for command in setup:
        for region in touched(command)[1]:
            written[region.memory][region.start : region.end] = True
    found: list[str] = []
    transfer: int | None = None  # the transfer that may still be under way
    compute: int | None = None
    for number, command in enumerate(run):
        if isinstance(command, End):
            break
        reads, writes = touched(command)
        if any(r.end > sizes.size(r.memory) or r.start >= r.end for r in (*reads, *writes)):
            found.append(f"command {number} leaves a memory")
            continue
        found += [
            f"command {number} reads {region.memory.name} {region.start}..{region.end}, not all of it was written"
            for region in reads
            if not written[region.memory][region.start : region.end].all()
        ]
        if any(r.meets(w) for r in reads for w in writes):
            found.append(f"command {number} overwrites what it reads")
        transfer = None if command.TRANSFER or command.wait_dma else transfer
        compute = None if not command.TRANSFER or command.wait_compute else compute
        other = compute if command.TRANSFER else transfer
        if other is not None and _clash(command, run[other]):
            found.append(f"command {number} can run beside command {other}, and they share a place")
        for region in writes:
            written[region.memory][region.start : region.end] = True
        if command.TRANSFER:
            transfer = number
        else:
            compute = number
    return found


def _clash(one: Command, other: Command) -> bool:
    (reads, writes), (other_reads, other_writes) = touched(one), touched(other)
    mine = any(w.meets(r) for w in writes for r in (*other_reads, *other_writes))
    return mine or any(r.meets(w) for r in reads for w in other_writes)
