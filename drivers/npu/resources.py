"""What the overlay takes of an FPGA, counted by yosys after mapping: ``python -m drivers.npu.resources``.

Counts before place and route, for the xc7z020 of PYNQ-Z1 and Z2. Vivado will count otherwise, in LUTs above all; DSP
blocks and block RAMs follow from the RTL and should not move much. Timing is not told: there is none before routing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from drivers.npu.description import OVERLAY
from testbed.errors import TestbedError
from testbed.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOP = "edge_npu"
SYNTHESIS_TIMEOUT_S = 1800.0
# Runs the passes that its arguments are: yosys writes to the stdout of its own process and may end it.
_CHILD = (
    "import sys; from pyosys import libyosys as y; d = y.Design(); [y.run_pass(c, d) for c in sys.argv[1:]]"
)
_LUT6 = {"LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "INV", "SRL16E", "SRLC32E"}
# LUTs that a distributed memory of one cell occupies. Source: UG474, table 2-3.
_LUT_MEMORY = {"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1S": 4}


class SynthesisMissing(TestbedError):  # noqa: N818 - it says what is missing
    """The RTL cannot be synthesised here: pyosys or the sources are missing, or yosys refused them."""


class Resources(Struct, frozen=True, kw_only=True):
    """Blocks of a 7-series device.

    Attributes:
        lut: of six inputs; two that Vivado may pack into one are counted as two.
        bram36: of 36 Kbit; one of 18 Kbit counts half.
    """

    dsp: int
    lut: int
    ff: int
    bram36: float

    def share(self, device: Resources) -> dict[str, float]:
        """Per kind, which fraction of a device this is."""
        mine, all_ = msgspec.to_builtins(self), msgspec.to_builtins(device)
        return {kind: mine[kind] / all_[kind] for kind in mine}


XC7Z020 = Resources(dsp=220, lut=53_200, ff=106_400, bram36=140)
"""Source: Zynq-7000 SoC data sheet, DS190, table 1."""


def counted(parameters: Mapping[str, int] | None = None, *, overlay: Path = OVERLAY) -> Resources:
    """Synthesise the RTL with these parameters of its top module and count. A minute or two for the default.

    Raises:
        SynthesisMissing: with the reason.
    """
    with scratch_folder() as folder:
        out = folder / "stat.json"
        synthesise(parameters, ["-abc9"], [f"tee -q -o {out} stat -json -tech xilinx"], overlay=overlay)
        cells = json.loads(out.read_text("utf-8"))["design"]["num_cells_by_type"]
    return from_cells(cells)


def blocks(parameters: Mapping[str, int] | None = None, *, overlay: Path = OVERLAY) -> tuple[int, float]:
    """DSP blocks and block RAMs of 36 Kbit alone, which stand before logic is mapped: a quarter of the time.

    Raises:
        SynthesisMissing: with the reason.
    """
    with scratch_folder() as folder:
        out = folder / "stat.json"
        synthesise(parameters, ["-abc9", "-run begin:fine"], [f"tee -q -o {out} stat -json"], overlay=overlay)
        cells = json.loads(out.read_text("utf-8"))["design"]["num_cells_by_type"]
    return cells.get("DSP48E1", 0), cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0) / 2


def from_cells(cells: Mapping[str, int]) -> Resources:
    """Add up yosys' cell counts.

    Raises:
        ValueError: cells that are neither of the 7 series nor free, such as a latch or a gate left unmapped.
    """
    free = {"BUFG", "CARRY4", "MUXF7", "MUXF8", "$scopeinfo", "VCC", "GND"}
    known = (
        _LUT6 | set(_LUT_MEMORY) | free | {"DSP48E1", "FDRE", "FDSE", "FDCE", "FDPE", "RAMB36E1", "RAMB18E1"}
    )
    if unknown := sorted(set(cells) - known):
        raise ValueError(f"cells without a place in the count: {', '.join(unknown)}")
    memories = sum(count * cells.get(kind, 0) for kind, count in _LUT_MEMORY.items())
    return Resources(
        dsp=cells.get("DSP48E1", 0),
        lut=sum(cells.get(kind, 0) for kind in _LUT6) + memories,
        ff=sum(cells.get(kind, 0) for kind in ("FDRE", "FDSE", "FDCE", "FDPE")),
        bram36=cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0) / 2,
    )


def netlist(parameters: Mapping[str, int], out: Path, *, overlay: Path = OVERLAY) -> Path:
    """Write the mapped netlist as Verilog to ``out``, without block RAM, for which yosys has no simulation model.

    Returns:
        The file with the models of the cells it uses.

    Raises:
        SynthesisMissing: with the reason.
    """
    synthesise(parameters, ["-nobram"], [f"write_verilog -noattr {out}"], overlay=overlay)
    spec = importlib.util.find_spec("pyosys")
    assert spec is not None, "it has just run"
    assert spec.origin is not None
    return Path(spec.origin).parent / "share/xilinx/cells_sim.v"


def synthesise(
    parameters: Mapping[str, int] | None,
    options: Sequence[str],
    then: Sequence[str],
    *,
    overlay: Path = OVERLAY,
) -> None:
    """Map the RTL to the 7 series, in a process of its own, then run the passes ``then``.

    Raises:
        SynthesisMissing: with the reason, and yosys' last words where it has some.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise SynthesisMissing("pyosys is not installed", cure="pip install 'testbed[npu]'")
    rtl = overlay / "rtl"
    modules = " ".join(str(file) for file in sorted(rtl.glob("*.sv")))
    if not modules:
        raise SynthesisMissing(f"{overlay} holds no RTL", cure="The overlay's sources are in a checkout only")
    settings = " ".join(f"-chparam {name} {value}" for name, value in sorted((parameters or {}).items()))
    passes = [
        f"read_verilog -sv -I{rtl} {modules}",
        f"hierarchy -check -top {TOP} {settings}",
        f"synth_xilinx -family xc7 -noiopad -flatten -top {TOP} {' '.join(options)}",
        "check -assert",
        *then,
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, *passes],
            capture_output=True,
            text=True,
            check=False,
            timeout=SYNTHESIS_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise SynthesisMissing(f"yosys did not end within {SYNTHESIS_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        raise SynthesisMissing(f"yosys failed: {(done.stderr or done.stdout).strip()[-1500:]}")


def main() -> int:
    """Print the count and its share of the device; 0 if each fits with a tenth to spare, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="parameter of the top module"
    )
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    told = parser.parse_args()
    try:
        parameters = {name: int(value) for name, _, value in (pair.partition("=") for pair in told.set)}
    except ValueError:
        parser.error("--set takes NAME=VALUE with a whole number")
    found = counted(parameters)
    share = found.share(XC7Z020)
    if told.json:
        document = {"device": "xc7z020", "used": msgspec.to_builtins(found), "fraction": share}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        for kind, fraction in share.items():
            of = getattr(XC7Z020, kind)
            sys.stdout.write(f"{kind:7} {getattr(found, kind):>8g} of {of:>8g}  {fraction:6.1%}\n")
    return int(max(share.values()) > 0.9)


if __name__ == "__main__":
    sys.exit(main())
