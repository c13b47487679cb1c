"""What makes a virtual machine a Jetson: the files that tell one, its rails, its power modes and a GPU's clock.

The tree is laid out below the machine's root before it starts. Power mode and clocks can be set, are read back and put
back as on a board; **pace and watts do not follow them**, they stay those of the profile, and the board says so.
Modes and clock rates are named as in ``/etc/nvpmodel.conf`` of an Orin Nano; ``cur_freq`` always shows the upper limit,
as under a governor that holds it there. Sources: as of `drivers.agent.jetson` and `drivers.virtual.machine.nvpmodel`.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drivers.virtual.machine import nvpmodel
from drivers.virtual.machine.config import TOOLS, Rail

if TYPE_CHECKING:
    from collections.abc import Mapping

RAILS: Final = (
    Rail(label="VDD_IN", idle_frac=1.0, work_frac=1.0),
    Rail(label="VDD_CPU_GPU_CV", idle_frac=0.20, work_frac=0.75),
    Rail(label="VDD_SOC", idle_frac=0.30, work_frac=0.15),
)
"""Labels as on Orin NX and Orin Nano, where ``VDD_IN`` is the total; how it divides is assumed."""

GPU: Final = "sys/class/devfreq/17000000.gpu"
FIRST_MODE: Final = 1
_RATES: Final = tuple(1_000_000 * mhz for mhz in (306, 408, 510, 612, 714, 816, 918, 1020))
_MIDDLE: Final = 918_000_000
_CONF: Final = f"""\
< PARAM TYPE=CLOCK NAME=GPU >
FREQ_TABLE /{GPU}/available_frequencies
MAX_FREQ /{GPU}/max_freq
MIN_FREQ /{GPU}/min_freq

< POWER_MODEL ID=0 NAME=15W >
TPC_POWER_GATING TPC_PG_MASK 0
GPU MIN_FREQ {_RATES[0]}
GPU MAX_FREQ 612000000

< POWER_MODEL ID=1 NAME=25W >
TPC_POWER_GATING TPC_PG_MASK 0
GPU MIN_FREQ {_RATES[0]}
GPU MAX_FREQ {_MIDDLE}

< POWER_MODEL ID=2 NAME=MAXN_SUPER >
TPC_POWER_GATING TPC_PG_MASK 0
GPU MIN_FREQ {_RATES[0]}
GPU MAX_FREQ -1

< POWER_MODEL ID=3 NAME=7W >
TPC_POWER_GATING TPC_PG_MASK 252
GPU MIN_FREQ {_RATES[0]}
GPU MAX_FREQ 408000000

< PM_CONFIG DEFAULT={FIRST_MODE} >
"""
_FILES: Final[Mapping[str, str]] = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 0, BOARD: virtual, EABI: aarch64, DATE: none\n",
    "proc/device-tree/model": "Virtual Jetson (emulated, no such hardware)\0",
    nvpmodel.CONF: _CONF,
    f"{GPU}/available_frequencies": " ".join(map(str, _RATES)) + "\n",
    f"{GPU}/governor": "performance\n",
}


def lay_out(root: Path) -> None:
    """Write the tree; a mode and limits that are there already stay, as over a reboot."""
    status, low, high = root / nvpmodel.STATUS, root / GPU / "min_freq", root / GPU / "max_freq"
    for name, text in _FILES.items():
        _write(root / name, text)
    for file, text in (
        (status, f"pmode:{FIRST_MODE:04d}\n"),
        (low, f"{_RATES[0]}\n"),
        (high, f"{_MIDDLE}\n"),
    ):
        if not file.exists():
            _write(file, text)
    (root / GPU / "cur_freq").unlink(missing_ok=True)
    (root / GPU / "cur_freq").symlink_to("max_freq")
    tool = root / TOOLS / "nvpmodel"
    words = shlex.join((sys.executable, "-IS", str(Path(nvpmodel.__file__).resolve()), str(root.resolve())))
    _write(tool, f'#!/bin/sh\nexec {words} "$@"\n')
    tool.chmod(0o755)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
