"""Executes on the overlay's RTL what a virtual board has answered, and says whether answers and cycles agree.

python -m drivers.virtual.pynq.auditor    (one JSON object a line in, one out; see `drivers.virtual.pynq.audit`)
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.agent.runtimes.overlay.engine import Engine
from drivers.agent.runtimes.overlay.program_file import read_program
from drivers.virtual.machine.waiting import die_with_parent
from drivers.virtual.pynq.fabric import FabricLogic
from drivers.virtual.pynq.rtl_fabric import RtlFabric
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.agent.runtimes.overlay.engine import Placed
    from drivers.virtual.pynq.fabric import Fabric

_IP = "npu_0"
_LOWEST = 19
_TIMEOUT_S = 120.0
_SLACK_CYCLES = 64
"""The clock on which memory answers is not in step with a start; cycles may differ by as much."""


class Auditor:
    """One overlay on its RTL, and the programs that were asked of it."""

    def __init__(self, make: Callable[[], Fabric] = RtlFabric) -> None:
        """Build the simulation if it is not in the cache.

        Raises:
            SimulatorMissing: it cannot be built here.
        """
        self._engine = Engine(FabricLogic(make(), _IP), _IP, timeout_s=_TIMEOUT_S)
        self._placed: dict[str, Placed] = {}

    def check(self, asked: dict[str, Any]) -> dict[str, int]:
        """Whether the RTL gives the same answer in the same cycles, as counts by name."""
        placed = self._place(asked["program"])
        placed.given[:] = np.frombuffer(base64.b64decode(asked["given"]), np.uint8)
        record = self._engine.run(placed, asked["limits"], asked["mask"])
        told = (asked["exit"], asked["label"], asked["total"], base64.b64decode(asked["logits"]))
        same = told == (record.exit, record.label, record.total, record.logits)
        return {
            "rtl_audited": 1,
            "rtl_answers_differ": int(not same),
            "rtl_cycles_differ": int(same and abs(record.cycles - asked["cycles"]) > _SLACK_CYCLES),
        }

    def _place(self, file: str) -> Placed:
        if file not in self._placed:
            self._placed[file] = self._engine.place(read_program(Path(file).read_bytes()))
        return self._placed[file]


def main() -> int:
    """Audit until standard input ends; 0, or 3 where the RTL cannot be simulated."""
    die_with_parent(with_children=True)  # a compiler may be among them, for a minute
    os.nice(_LOWEST)
    try:
        auditor = Auditor()
    except TestbedError as error:
        print(f"audit: {error}", file=sys.stderr)  # noqa: T201
        return 3
    for line in sys.stdin:
        print(json.dumps(auditor.check(json.loads(line))), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
