"""Make the hwprofiles of virtual PYNQ boards: cycles of the overlay at its clock, plus a model of the processor.

    python experiments/npu/make_profiles.py [--check]

For every program in ``drivers/npu/programs``: cycles from the table beside it, accuracies from the zoo's catalogue.
The same files give the same bytes; ``--check`` writes nothing and names what would change.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.boards.programs import SHIPPED
from drivers.virtual.pynq.cycles import read_cycles
from testbed.model.origin import Origin
from testbed.model.profile import HwProfile, Metered, Quantity, Service
from testbed.store.profile_checks import check_profile
from testbed.store.profile_writer import profile_text
from testbed.zoo.catalog import load_catalog, shipped

if TYPE_CHECKING:
    from drivers.virtual.pynq.cycles import CycleTable
    from testbed.zoo.catalog import Model

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "hwprofiles/virtual-pynq"
TASK = "image-classification/fashion-mnist"
CLOCK_HZ = 100e6
BATCHES = (1, 4)
P = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
HOST_MS = (0.42, 0.44, 0.47, 0.50, 0.55, 0.70, 1.00, 1.80)
"""What the processor adds to each image, at the probabilities of ``P``; nobody measured it."""
HOST = (
    "processor per image, assumed: about ten register accesses through Python at 10 us each, two cache operations at "
    "50 us and 784 pixels through a table, on a Cortex-A9 at 650 MHz; p99/p50 2 as of the emulated Jetson"
)
RN07 = "MLPerf Tiny v0.7, hls4ml-finn, pynq-z2, ic RN07 (hwprofiles/pynq-z2/ic-rn07.toml)"
INPUT = Metered(kind="board", what="input of the whole board (Joulescope), another design in its logic")
NOTICE = "# Made by experiments/npu/make_profiles.py; change that, not this. A PYNQ-Z2-class board that nobody has.\n"


def service(table: CycleTable, exit_: int, batch: int) -> Service:
    """One row: images of a batch go through one after another."""
    row = table.exit[exit_]
    logic_ms = row.cycles / CLOCK_HZ * 1e3
    counted = f"{row.cycles} cycles at 100 MHz = {logic_ms:.4f} ms ({table.origin}: {table.source})"
    return Service(
        batch=batch,
        exit=exit_,
        p=P,
        ms=tuple(round(batch * (logic_ms + host), 4) for host in HOST_MS),
        origin=Origin.ASSUMED,
        source=f"{counted}; + {HOST}",
    )


def profile(model: Model, table: CycleTable) -> HwProfile:
    """The profile of one network."""
    return HwProfile(
        schema=1,
        board=FOLDER.name,
        model=model.name,
        task=TASK,
        service=tuple(service(table, exit_, batch) for exit_ in range(len(model.exits)) for batch in BATCHES),
        accuracy=tuple(
            Quantity(
                value=one.calibration.correct / one.calibration.samples,
                origin=Origin.MEASURED,
                source=(
                    f"onnxruntime on the {one.calibration.samples} calibration images of the zoo: "
                    f"{one.calibration.correct} right (catalog.toml)"
                ),
                sigma=round(
                    math.sqrt(
                        one.calibration.accuracy * (1 - one.calibration.accuracy) / one.calibration.samples
                    ),
                    4,
                ),
            )
            for one in model.exits
        ),
        sha256=tuple(part.sha256 for part in model.parts),
        idle_w=Quantity(
            value=1.561, origin=Origin.DERIVED, source=f"{RN07}: level between the windows", metered=INPUT
        ),
        active_w=Quantity(
            value=1.617,
            origin=Origin.ASSUMED,
            source=f"as of another design on the same board: {RN07}, median of the mean powers",
            metered=INPUT,
        ),
        load_ms=Quantity(
            value=400.0,
            origin=Origin.ASSUMED,
            source="a 4 MB bitstream through the FPGA manager; nobody measured it",
        ),
        memory_bytes=Quantity(
            value=float(table.setup_cycles * 8), origin=Origin.DERIVED, source="image of the program"
        ),
    )


def main() -> int:
    """Write them; 1 where ``--check`` finds a difference."""
    parser = argparse.ArgumentParser(prog="make_profiles.py")
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    catalog = load_catalog(shipped(TASK))
    changed = []
    for file in sorted(SHIPPED.glob("*.npu")):
        program = read_program(file.read_bytes())
        table = read_cycles(file, program.sha256, len(program.exits))
        made = profile(catalog.model(program.model), table)
        out = FOLDER / f"{program.model}.toml"
        check_profile(made, out)
        text = NOTICE + profile_text(made)
        if not out.is_file() or out.read_text("utf-8") != text:
            changed.append(out)
            if not check:
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text(text, "utf-8")
    for out in changed:
        print(f"{out.relative_to(ROOT)} {'differs' if check else 'written'}")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
