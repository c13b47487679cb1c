"""The mapped netlist of a small configuration does what the RTL does: every command, cycle for cycle, bit for bit.

Synthesis by yosys for the 7 series (DSP48E1, CARRY4, LUTs, distributed memory), cells simulated from the models that
yosys ships. A small configuration, because yosys has no model of block RAM and the netlist runs a thousandth as
fast as the RTL. Takes some minutes, nearly all of it to build.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.verdict import arguments, conclude
from drivers.npu import isa
from drivers.npu.resources import netlist
from drivers.npu.rtl import Rtl
from drivers.npu.simulator import Simulator

SMALL = {"ROWS": 8, "ACT_WORDS": 256, "WGT_WORDS": 32, "PAR_CHANNELS": 32}
TARGETS = {"runs_differ": {"max": 0}, "runs_equal": {"min": 1}}
STORED = 8 * 160


def case(seed: int) -> tuple[bytes, list[isa.Command], bytes, int]:
    """Image, commands, input and row mask of one run that uses every unit, with random contents and settings."""
    rng = np.random.default_rng(seed)

    def byte() -> int:
        return int(rng.integers(-128, 128))

    weights = rng.integers(-128, 128, 32 * 64).astype(np.int8).tobytes()
    par = np.zeros(32, [("bias", "<i4"), ("m", "<u4"), ("s", "u1"), ("spare", "V7")])
    par["bias"], par["m"] = rng.integers(-9999, 9999, 32), rng.integers(1 << 29, 1 << 31, 32)
    par["s"] = rng.integers(34, 44, 32)
    tables = rng.integers(1, 1 << 16, 4 * 256).astype("<u2").tobytes()
    image = weights + par.tobytes() + tables
    inputs = rng.integers(-128, 128, 8 * 32).astype(np.int8).tobytes()
    stride = int(rng.integers(1, 3))
    out = 4 if stride == 1 else 2
    commands: list[isa.Command] = [
        isa.Load(memory=1, offset=0, address=0, length=len(weights), tag=1),
        isa.Load(memory=2, offset=len(weights), address=0, length=512, tag=2),
        isa.Load(memory=3, offset=len(weights) + 512, address=0, length=2048, tag=3),
        isa.Load(
            memory=0, base=1, offset=0, address=0, length=len(inputs), masked=1, rows=4, width=4, neutral=byte(),
            tag=4,
        ),
        isa.Conv(
            source=0, target=64, weights=0, channel=4, in_height=4, in_width=4, out_height=out, out_width=out,
            in_groups=2, out_groups=1, kernel=3, stride=stride, pad_top=1, pad_left=1, pad_value=byte(),
            zero_point=byte(), low=-120, high=120, wait_dma=True, tag=5,
        ),
        isa.Conv(
            source=0, target=80, weights=20, channel=8, in_height=4, in_width=4, out_height=4, out_width=4,
            in_groups=2, out_groups=2, kernel=1, zero_point=byte(), tag=6,
        ),
        isa.Add(
            a=80, b=96, target=112, words=16, multiplier_a=int(rng.integers(-(1 << 24), 1 << 24)),
            multiplier_b=int(rng.integers(-(1 << 24), 1 << 24)), shift=int(rng.integers(20, 27)), zero_a=byte(),
            zero_b=byte(), zero_point=byte(), tag=7,
        ),
        isa.MaxPool(source=112, target=128, height=4, width=4, groups=1, tag=8),
        isa.AvgPool(
            source=80, target=132, height=4, width=4, groups=2, multiplier=int(rng.integers(1 << 30, 1 << 31)),
            shift=34, zero_in=byte(), zero_point=byte(), tag=9,
        ),
        isa.Exit(source=132, classes=int(rng.integers(2, 17)), number=1, table=int(rng.integers(4)), tag=10),
        isa.Store(offset=128, address=64, length=STORED, wait_compute=True, tag=11),
        isa.End(exit=3, tag=12),
    ]  # fmt: skip
    return image, commands, inputs, int(rng.integers(16))


def main() -> int:
    """Build both, run the same on both, conclude."""
    runs = 2 if arguments(__doc__).quick else 25
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        mapped = Path(folder) / "edge_npu_mapped.v"
        cells = netlist(SMALL, mapped)
        print(f"mapped in {time.monotonic() - begin:.0f} s", flush=True)
        begin = time.monotonic()
        with Simulator(netlist=[mapped, cells]) as gates, Simulator(parameters=SMALL) as source:
            print(f"built in {time.monotonic() - begin:.0f} s", flush=True)
            sides = [Rtl(gates), Rtl(source)]
            differ = cycles = 0
            for seed in range(runs):
                image, commands, inputs, mask = case(seed)
                ended = []
                for side in sides:
                    # A little over every fourth confidence test passes.
                    result, written = side.execute(
                        image, commands, inputs, limits=[0, 150_000], mask=mask, output_bytes=128 + STORED
                    )
                    ended.append((result.exit, result.label, result.total, written, side.counters))
                differ += ended[0] != ended[1]
                cycles += sides[0].counters.cycles
            broken = gates.violations | source.violations
    figures = {
        "runs_differ": differ,
        "runs_equal": runs - differ,
        "cycles": cycles,
        "axi_rules_broken": broken,
    }
    return conclude("netlist", figures, TARGETS, {"runs": runs})


if __name__ == "__main__":
    sys.exit(main())
