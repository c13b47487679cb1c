"""How well the overlay's RTL uses its multipliers, how fast it is simulated, and what of an xc7z020 it takes.

Cycles are simulated: those of the RTL, from START to DONE, with a memory that answers after 40 cycles and passes a
beat of 8 bytes a cycle (``DdrTiming``; assumed). Milliseconds are cycles at 100 MHz, the clock that build.tcl asks for
and that no place and route has confirmed. Every image's answer is compared with the golden model's, bit for bit.
Published rows of the same chip stand beside, cited: what is and is not comparable is printed with them.
"""

from __future__ import annotations

import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from benchmarks.verdict import arguments, conclude
from drivers.npu import isa, program
from drivers.npu.compile import compile_network
from drivers.npu.golden import Golden
from drivers.npu.resources import XC7Z020, blocks, counted
from drivers.npu.rtl import Rtl
from drivers.npu.simulator import CommandSpan, DdrTiming, Simulator
from drivers.virtual.pynq.prepare import inputs_of
from testbed.zoo.catalog import load_catalog, shipped
from testbed.zoo.files import load_graphs, load_samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from drivers.npu.arithmetic import Int8
    from drivers.npu.program import Program

ROOT = Path(__file__).parents[1]
TASK = "image-classification/fashion-mnist"
NETWORK, WITH_EXITS = "resnet8-int8", "resnet8-ee-int8"
MULTIPLIERS = 128
MHZ = 100.0
TIMINGS = (
    DdrTiming(read_latency=20),
    DdrTiming(),
    DdrTiming(read_latency=100),
    DdrTiming(read_latency=200),
    DdrTiming(beats_per_1024=512),
)
CITED = ("ic-cnv-w1a1", "ic-rn07")
TARGETS: dict[str, dict[str, float]] = {
    "util_conv": {"min": 0.8},
    "util_net": {"min": 0.7},
    "latency_ms_100mhz": {"max": 1.1},
    "exit_excess_frac": {"max": 0.1},
    "resource_frac_max": {"max": 0.9},
    "sim_mcycles_per_s": {"min": 1.0},
    "answers_differ": {"max": 0},
}


class LayerCycles(Struct, frozen=True, kw_only=True):
    """One layer: what it has to do, what was estimated and what the RTL took, cycles.

    Attributes:
        dense: it has at least 8 input channels and every multiplication is of the network, none a zero of padding.
    """

    name: str
    op: str
    macs: int
    estimated: int
    measured: int
    dense: bool


def layers_of(made: Program, spans: Sequence[CommandSpan]) -> list[LayerCycles]:
    """Layers of a program with the cycles that their compute commands took in a recorded run."""
    measured: dict[int, int] = {}
    for span in spans:
        measured[span.tag] = measured.get(span.tag, 0) + span.end - span.start
    work: dict[int, int] = {}
    for command in made.run:
        if isinstance(command, isa.Conv):
            pixels = command.out_groups * 16 * command.out_height * command.out_width
            taps = command.in_groups * 8 * command.kernel**2
            work[command.tag] = work.get(command.tag, 0) + pixels * taps
    return [
        LayerCycles(
            name=layer.name,
            op=layer.op,
            macs=layer.macs,
            estimated=layer.cycles,
            measured=measured.get(layer.tag, 0),
            dense=layer.op == "Conv" and work.get(layer.tag) == layer.macs,
        )
        for layer in made.layers
    ]


def utilisation(layers: Iterable[LayerCycles]) -> float:
    """Cycles with every multiplier at work over cycles taken; layers count by the time they take."""
    taken = list(layers)
    return sum(layer.macs for layer in taken) / MULTIPLIERS / max(1, sum(layer.measured for layer in taken))


def exit_excess(layers: Sequence[LayerCycles], exits: Sequence[int]) -> float:
    """By how much the worst early exit takes more than its share of the last one's cycles.

    The share of an exit is what its layers take of all layers' cycles; 0 would be exactly in proportion.
    """
    ends = [index for index, layer in enumerate(layers) if layer.op == "Exit"]
    total = sum(layer.measured for layer in layers)
    shares = [sum(layer.measured for layer in layers[: end + 1]) / total for end in ends]
    return max(cycles / (share * exits[-1]) - 1 for cycles, share in zip(exits, shares, strict=True))


def stop_at(number: int, exits: int) -> list[int]:
    """Exit limits with which a program leaves at this exit and at none before."""
    return [isa.ALWAYS if k == number else isa.NEVER for k in range(exits)]


def cited(folder: Path, names: Sequence[str]) -> list[str]:
    """Rows of profiles that were made from published measurements, as text."""
    rows = []
    for name in names:
        told = tomllib.loads((folder / f"{name}.toml").read_text("utf-8"))
        service, accuracy, energy = told["service"][0], told["accuracy"][0], told["energy_mj"][0]
        rows.append(
            f"{name:12} {service['ms'][0]:8.3f} ms ({service['origin']})  "
            f"{energy['value']:6.2f} mJ ({energy['origin']})  {accuracy['value']:.1%} top-1  "
            f"{told['provenance']['citation']}"
        )
    return rows


def compared(
    rtl: Rtl, made: Program, given: Int8, limits: Sequence[int]
) -> tuple[int, list[int], float, float]:
    """Run every image on both: answers that differ, cycles per image, simulated cycles, and processor seconds."""
    wanted = Golden(made).run(given, limits)
    before, begin = rtl.simulator.now, time.process_time()
    answers = rtl.run(given, limits)
    spent, passed = time.process_time() - begin, rtl.simulator.now - before
    differ = 0
    for (mine, _), theirs in zip(answers, wanted, strict=True):
        same = (mine.exit, mine.label, mine.total) == (theirs.exit, theirs.label, theirs.total)
        differ += not (same and np.array_equal(mine.logits[: len(theirs.logits)], theirs.logits))
    return differ, [counters.cycles for _, counters in answers], passed, spent


def recorded(rtl: Rtl, given: Int8) -> list[CommandSpan]:
    """One run of the program loaded, command by command."""
    rtl.simulator.record()
    rtl.run(given[:1])
    spans = rtl.simulator.recorded()
    rtl.simulator.record(on=False)
    return spans


def show(layers: Sequence[LayerCycles]) -> None:
    """A table on stdout."""
    print(f"{'layer':28} {'op':10} {'MMAC':>7} {'estimated':>9} {'RTL':>7} {'of the array':>12}")
    for layer in layers:
        used = f"{layer.macs / MULTIPLIERS / layer.measured:12.1%}" if layer.macs and layer.measured else ""
        print(
            f"{layer.name:28} {layer.op:10} {layer.macs / 1e6:7.3f} {layer.estimated:9} {layer.measured:7} {used}"
        )


def memories(parts: Sequence[bytes], given: Int8) -> None:
    """What other memories than the assumed one change, weights resident and streamed."""
    for stream in (False, True):
        made = compile_network(parts, NETWORK, stream=stream)
        for timing in TIMINGS:
            with Simulator(timing=timing) as simulator:
                rtl = Rtl(simulator)
                rtl.load(made)
                ((_, counters),) = rtl.run(given[:1])
                print(
                    f"{'streamed' if stream else 'resident'}: read latency {timing.read_latency:3}, "
                    f"{timing.beats_per_1024 / 1024:.1f} beats a cycle: {counters.cycles:6} cycles, "
                    f"{counters.stall_axi:5} of them waiting for the bus"
                )


def accuracy(labels: npt.NDArray[np.integer], given: Sequence[int]) -> float:
    """Share that is right."""
    return float(np.mean(np.asarray(given) == labels[: len(given)]))


def main() -> int:
    """Measure, print, conclude."""
    quick = arguments(__doc__).quick
    images_n, per_exit = (10, 2) if quick else (2000, 100)
    catalog = load_catalog(shipped(TASK))
    samples = load_samples(catalog, "test")
    images = samples.images[:images_n, None]
    folder = ROOT / "drivers/npu/programs"
    made, branched = (program.read(folder / f"{name}.npu") for name in (NETWORK, WITH_EXITS))
    figures: dict[str, float] = {}
    with Simulator() as simulator:
        rtl = Rtl(simulator)
        rtl.load(made)
        given = inputs_of(made, images)
        layers = layers_of(made, recorded(rtl, given))
        show(layers)
        # In pieces: the fastest is the figure, since anything else on this core only slows a piece down.
        differ, cycles, speeds = 0, [0], [0.0]
        for begin in range(0, len(given), max(1, images_n // 10)):
            more, taken, passed, spent = compared(
                rtl, made, given[begin : begin + max(1, images_n // 10)], [0]
            )
            differ += more
            cycles += taken
            speeds.append(passed / spent / 1e6)
        figures["util_conv"] = utilisation(layer for layer in layers if layer.dense)
        figures["util_net"] = sum(layer.macs for layer in layers) / MULTIPLIERS / max(cycles)
        figures["latency_ms_100mhz"] = max(cycles) / MHZ / 1000
        figures["sim_mcycles_per_s"] = max(speeds)
        figures["estimate_error_frac"] = max(
            abs(layer.estimated / layer.measured - 1) for layer in layers if layer.measured > 1000
        )
        rtl.load(branched)
        exits, ways = [], len(branched.output.exits)
        shown = layers_of(branched, recorded(rtl, inputs_of(branched, images[:1])))
        show(shown)
        for number in range(ways):
            some = inputs_of(branched, images[number * per_exit : (number + 1) * per_exit])
            more, taken, _, _ = compared(rtl, branched, some, stop_at(number, ways))
            differ += more
            exits.append(max(taken))
            figures[f"exit{number}_cycles"] = exits[-1]
        figures["exit_excess_frac"] = exit_excess(shown, exits)
        figures["axi_rules_broken"] = simulator.violations
    memories(load_graphs(catalog, NETWORK), given)
    figures |= _resources(quick=quick)
    figures["answers_differ"] = differ
    print(
        "\nBeside it, cited, on a PYNQ-Z2 with the same xc7z020 at 100 MHz, MLPerf Tiny v0.7 (open division):"
    )
    print("\n".join(cited(ROOT / "hwprofiles/pynq-z2", CITED)))
    print(
        "Not comparable: they were measured on silicon, with processor and driver in the time, on CIFAR-10\n"
        "(32 x 32 x 3), with networks of other size and precision (1 bit in CNV); ours is simulated logic alone,\n"
        "on Fashion-MNIST (28 x 28 x 1), 9.35 MMAC in int8, without energy. Comparable: chip, clock asked for,\n"
        "batch of one."
    )
    n = {"images": len(given), "images_per_exit": per_exit}
    targets: Mapping[str, Mapping[str, float]] = {name: t for name, t in TARGETS.items() if name in figures}
    return conclude("npu", figures, targets, n)


def _resources(*, quick: bool) -> dict[str, float]:
    if quick:
        dsp, bram36 = blocks()
        share = {"dsp": dsp / XC7Z020.dsp, "bram36": bram36 / XC7Z020.bram36}
    else:
        found = counted()
        print(f"\nxc7z020, before place and route: {found}")
        share = found.share(XC7Z020)
    return {
        **{f"{kind}_frac": value for kind, value in share.items()},
        "resource_frac_max": max(share.values()),
    }


if __name__ == "__main__":
    sys.exit(main())
