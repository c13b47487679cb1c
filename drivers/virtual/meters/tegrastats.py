"""A ``tegrastats`` that nobody has: a program which prints lines in the shape of a release, of a power in a file.

The shapes are those of JetPack 4 to 7 (words, their order, units); all figures but the powers are made up.

    python -m drivers.virtual.meters.tegrastats STATE.json --interval MS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

SHAPES: dict[str, tuple[str, str, tuple[tuple[str, float], ...]]] = {
    # model, the line with {rails} in it, rails and their share of the total; share 0: a part of it
    "nano": (
        "NVIDIA Jetson Nano Developer Kit",
        "RAM 1873/3956MB (lfb 214x4MB) SWAP 0/1978MB (cached 0MB) IRAM 0/252kB(lfb 252kB) "
        "CPU [12%@1479,8%@1479,off,off] EMC_FREQ 3%@1600 GR3D_FREQ 41%@921 APE 25 PLL@34.5C CPU@37C PMIC@100C "
        "GPU@35.5C AO@42C thermal@36.25C {rails}",
        (("POM_5V_IN", 1.0), ("POM_5V_GPU", 0.0), ("POM_5V_CPU", 0.0)),
    ),
    "agx-xavier": (
        "Jetson-AGX",
        "RAM 2411/31919MB (lfb 6902x4MB) SWAP 0/15959MB (cached 0MB) CPU [3%@1190,1%@1190,off,off] "
        "EMC_FREQ 0%@1600 GR3D_FREQ 0%@318 APE 150 MTS fg 0% bg 2% AO@37C GPU@38C Tdiode@40.75C PMIC@100C AUX@37C "
        "CPU@39C thermal@37.8C Tboard@38C {rails}",
        (("GPU", 0.2), ("CPU", 0.2), ("SOC", 0.2), ("CV", 0.1), ("VDDRQ", 0.1), ("SYS5V", 0.2)),
    ),
    "agx-orin": (
        "NVIDIA Jetson AGX Orin Developer Kit",
        "06-02-2026 10:36:27 RAM 5210/62801MB (lfb 1640x4MB) SWAP 0/31400MB (cached 0MB) CPU [4%@729,0%@729,off] "
        "EMC_FREQ 1%@2133 GR3D_FREQ 17%@[305,305] VIC_FREQ 729 APE 174 CV0@-256C CPU@45.1C Tboard@33C SOC2@41C "
        "tj@45.1C {rails}",
        (
            ("VDD_GPU_SOC", 0.4),
            ("VDD_CPU_CV", 0.3),
            ("VIN_SYS_5V0", 0.2),
            ("NC", 0.0),
            ("VDDQ_VDD2_1V8AO", 0.1),
            ("NC", 0.0),
        ),
    ),
    "orin-nano": (
        "NVIDIA Jetson Orin Nano Developer Kit",
        "06-02-2026 10:20:31 RAM 2890/15655MB (lfb 6x4MB) SWAP 0/7828MB (cached 0MB) CPU [7%@1190,3%@1190,off,off] "
        "EMC_FREQ 2%@3199 GR3D_FREQ 53%@[612] NVDEC off NVJPG off VIC off OFA off APE 200 cpu@48.3C soc2@46.9C "
        "gpu@48C tj@48.3C {rails}",
        (("VDD_IN", 1.0), ("VDD_CPU_GPU_CV", 0.0), ("VDD_SOC", 0.0)),
    ),
}
_PLAIN = ("nano", "agx-xavier")


def line_of(shape: str, watts: float) -> str:
    """One line."""
    _, text, rails = SHAPES[shape]
    unit = "" if shape in _PLAIN else "mW"
    shown = [(name, round(watts * (share or 0.25) * 1e3) if name != "NC" else 0) for name, share in rails]
    return text.format(rails=" ".join(f"{name} {mw}{unit}/{mw // 2}{unit}" for name, mw in shown))


class VirtualTegrastats:
    """The program below a root, and the methods of a rig."""

    def __init__(self, root: Path, shape: str) -> None:
        """Install it as ``usr/bin/tegrastats``."""
        self._tool = root / "usr/bin/tegrastats"
        self._state = root / "tegrastats.json"
        self._shape = shape
        self._w = 1.0
        model = root / "proc/device-tree/model"
        for folder in (self._tool.parent, model.parent):
            folder.mkdir(parents=True, exist_ok=True)
        model.write_text(SHAPES[shape][0] + "\0")
        self.mend()

    def draw(self, watts: float) -> None:
        """Print so much from the next line on."""
        self._w = watts
        self._tell()

    def saturate(self) -> None:
        """Not shown: the tool prints what the chip's range ends with like any other figure."""

    def garble(self) -> None:
        """Break lines off in the middle."""
        self._tell(broken=True)

    def mute(self) -> None:
        """End the program, and take it away."""
        self._tell(ended=True)
        self._tool.unlink()

    def mend(self) -> None:
        """Everything as before."""
        self._tell()
        here = Path(__file__).resolve()
        # A script that runs this very file: like the real tool, it dies of its pipe when nobody reads any more.
        self._tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{here}" "{self._state}" "$@"\n')
        self._tool.chmod(0o755)

    def _tell(self, *, broken: bool = False, ended: bool = False) -> None:
        state = {"shape": self._shape, "watts": self._w, "broken": broken, "ended": ended}
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(self._state)


def main(arguments: list[str]) -> int:
    """Print a line at every interval until told to end, or nobody reads."""
    state_file, option, interval_ms = arguments
    if option != "--interval":
        return 2
    due = time.monotonic()
    while True:
        state = json.loads(Path(state_file).read_text())
        if state["ended"]:
            return 0
        text = line_of(state["shape"], state["watts"])
        sys.stdout.write((text[: len(text) - 20] if state["broken"] else text) + "\n")
        sys.stdout.flush()
        due = max(due + int(interval_ms) / 1e3, time.monotonic())  # late once is not early next time
        time.sleep(max(due - time.monotonic(), 0.0))


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except BrokenPipeError:
        code = 0
    sys.exit(code)
