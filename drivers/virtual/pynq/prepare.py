"""Makes what a virtual PYNQ board needs of a program: answers and cycles, in files beside it.

    python -m drivers.virtual.pynq.prepare PROGRAM.npu --images test.npz [--rtl 3]

Answers are the integer model's for every image, at every exit; cycles are counted on the overlay's RTL for ``--rtl``
images at every exit, or with ``--rtl 0`` estimated by the compiler, and labelled so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from drivers.agent.runtimes.overlay.engine import ALWAYS, NEVER, Engine
from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.npu.golden import Golden
from drivers.npu.program import read
from drivers.virtual.pynq.cycles import CycleTable, ExitCycles, write_cycles
from drivers.virtual.pynq.fabric import FabricLogic
from drivers.virtual.pynq.remembered import SUFFIX, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from drivers.npu.program import Program

PIECE = 100


def inputs_of(program: Program, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """Images as they lie in DDR, int8 (n, input bytes); ``images`` is uint8 (n, channels, height, width)."""
    channels, height, width = program.input.shape
    levels = np.array(program.input.map, np.int8)
    shape = (len(images), program.input.groups, height, width, 8)
    words = np.full(shape, program.input.neutral, np.int8)
    for channel in range(channels):
        words[:, channel // 8, :, :, channel % 8] = levels[images[:, channel]]
    return words.reshape(len(images), -1)


def answer(
    program: Program, given: npt.NDArray[np.int8]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int8]]:
    """What the integer model says at every exit: totals (n, exits) and logits (n, exits, classes)."""
    golden, exits = Golden(program), len(program.output.exits)
    totals = np.zeros((len(given), exits), np.uint32)
    logits = np.zeros((len(given), exits, program.output.exits[0].classes), np.int8)
    for number in range(exits):
        limits = [ALWAYS if k == number else NEVER for k in range(exits)]
        for begin in range(0, len(given), PIECE):
            for row, result in enumerate(golden.run(given[begin : begin + PIECE], limits), start=begin):
                totals[row, number], logits[row, number] = result.total, result.logits
    return totals, logits


def remember(program: Program, file: Path, given: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Write the answers beside a program file; the labels (n, exits)."""
    totals, logits = answer(program, given)
    digests = np.array([list(digest_of(one.tobytes())) for one in given], np.uint8)
    sha256 = np.frombuffer(bytes.fromhex(program.sha256), np.uint8)
    with file.with_suffix(SUFFIX).open("wb") as out:
        np.savez_compressed(out, program_sha256=sha256, digests=digests, totals=totals, logits=logits)
    labels: npt.NDArray[np.int64] = logits.argmax(2)
    return labels


def estimated(program: Program) -> CycleTable:
    """The compiler's estimate."""
    return CycleTable(
        schema=1,
        program_sha256=program.sha256,
        origin="modelled",
        source="the compiler's estimate, drivers/npu/estimate.py",
        setup_cycles=program.sections.image_bytes // 8,
        exit=tuple(ExitCycles(cycles=one.cycles, stalls=0) for one in program.output.exits),
    )


def counted(program: Program, file: Path, given: npt.NDArray[np.int8]) -> CycleTable:
    """Cycles that the RTL counts, the largest over some images, leaving at each exit in turn.

    Raises:
        SimulatorMissing: the RTL cannot be simulated here.
    """
    from drivers.virtual.pynq.rtl_fabric import RtlFabric

    fabric = RtlFabric()
    engine = Engine(FabricLogic(fabric, "npu_0"), "npu_0", timeout_s=120.0)
    placed = engine.place(read_program(file.read_bytes()))
    setup_cycles = engine.set_up(placed)
    exits = len(program.output.exits)
    rows = []
    for number in range(exits):
        limits = [ALWAYS if k == number else NEVER for k in range(exits)]
        records = []
        for one in given:
            placed.given[:] = one.view(np.uint8)
            records.append(engine.run(placed, limits))
        worst = max(records, key=lambda record: record.cycles)
        rows.append(ExitCycles(cycles=worst.cycles, stalls=worst.stalls, n=len(records)))
    timing = fabric.timing
    return CycleTable(
        schema=1,
        program_sha256=program.sha256,
        origin="simulated",
        source=(
            f"cycle counter of the RTL in Verilator; memory modelled: reads {timing.read_latency} cycles, writes "
            f"{timing.write_latency}, {timing.beats_per_1024} beats of 8 bytes in 1,024 cycles"
        ),
        setup_cycles=setup_cycles,
        exit=tuple(rows),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both files beside the program; 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m drivers.virtual.pynq.prepare")
    parser.add_argument("program", type=Path, help="compiled network (.npu)")
    parser.add_argument("--images", type=Path, required=True, help=".npz with images and labels")
    parser.add_argument(
        "--rtl", type=int, default=3, help="images to count cycles on; 0: the compiler's estimate"
    )
    chosen = parser.parse_args(arguments)
    program = read(chosen.program)
    with np.load(chosen.images, allow_pickle=False) as stored:
        images, labels = stored["images"], stored["labels"]
    given = inputs_of(program, images.reshape(len(images), *program.input.shape))
    told = remember(program, chosen.program, given)
    table = counted(program, chosen.program, given[: chosen.rtl]) if chosen.rtl else estimated(program)
    write_cycles(table, chosen.program)
    for number, row in enumerate(table.exit):
        right = int((told[:, number] == labels).sum())
        text = f"exit {number}: {row.cycles:,} cycles ({table.origin}), {right} of {len(images)} right"
        sys.stdout.write(f"{program.model} {text}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
