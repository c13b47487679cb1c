"""The agent of a simulated PYNQ board, on this host: its logic is the overlay's RTL or the integer model of it.

    python -m drivers.virtual.pynq.simulated {pynq,plain,stream} [--answers rtl] [--fault hung@2] -- AGENT ARGUMENTS

``pynq`` puts a device of pynq's own before the agent's unchanged runtime; ``plain`` needs no pynq and offers the
registers themselves; ``stream`` is a DMA that gives the golden answers of any overlay that has some. Everything else is
the agent as it runs on a board.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import numpy as np

from drivers.agent.program import main as agent_main
from drivers.agent.runtimes.overlay.logic import OverlayError
from drivers.agent.runtimes.overlay.manifest import check_board, check_hash
from drivers.agent.runtimes.overlay.runtime import OverlayRuntime
from drivers.virtual.pynq.fabric import FabricLogic, Fault, FaultyFabric, fault_at
from drivers.virtual.pynq.golden_fabric import GoldenExecutor
from drivers.virtual.pynq.golden_stream import GoldenStreamLogic
from drivers.virtual.pynq.memory import Arena
from drivers.virtual.pynq.model_fabric import ModelFabric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from drivers.agent.runtimes.overlay.logic import Logic
    from drivers.agent.runtimes.overlay.manifest import Manifest
    from drivers.virtual.pynq.fabric import Fabric

ARENA_BYTES = 16 << 20
BOARD = "Pynq-Z2"


def fabric_of(answers: str = "golden", plan: Mapping[int, Fault] | None = None) -> FaultyFabric:
    """A simulated board's logic, with faults as planned.

    Args:
        answers: ``golden`` for the integer model, ``rtl`` for the simulated overlay.

    Raises:
        SimulatorMissing: the RTL cannot be simulated here.
    """
    if answers == "rtl":
        from drivers.virtual.pynq.rtl_fabric import RtlFabric

        return FaultyFabric(RtlFabric(), plan)
    return FaultyFabric(ModelFabric(Arena(np.zeros(ARENA_BYTES, np.uint8)), GoldenExecutor()), plan)


def plain_logic(fabric: Fabric) -> Callable[[Manifest, Sequence[str]], Logic]:
    """Opens a fabric as a runtime wants it, after the checks that loading through pynq makes as well."""

    def open_logic(manifest: Manifest, files: Sequence[str]) -> Logic:
        _check(manifest, files)
        return FabricLogic(fabric, manifest.ip)

    return open_logic


def stream_logic(manifest: Manifest, files: Sequence[str]) -> Logic:
    """Opens what the golden answers, the last of the files, tell of an overlay.

    Raises:
        OverlayError: it has none.
    """
    _check(manifest, files)
    if manifest.golden is None or len(files) < 3:
        raise OverlayError(
            f"overlay {manifest.name} has no golden answers to be simulated by",
            cure="Add [golden] to its overlay.toml; see docs/pynq-boards.md",
        )
    return GoldenStreamLogic(manifest, files[2])


def _check(manifest: Manifest, files: Sequence[str]) -> None:
    check_board(manifest, BOARD)
    for path, sha256, what in zip(
        files, (manifest.bitstream_sha256, manifest.hwh_sha256), ("bitstream", ".hwh"), strict=False
    ):
        check_hash(path, sha256, what)


def main(argv: list[str]) -> int:
    """Be the agent until its line ends; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m drivers.virtual.pynq.simulated")
    parser.add_argument("way", choices=("pynq", "plain", "stream"))
    parser.add_argument("--answers", default="golden", choices=("golden", "rtl"))
    parser.add_argument("--fault", action="append", default=[], type=fault_at, metavar="FAULT@START")
    split = argv.index("--") if "--" in argv else len(argv)
    options, rest = parser.parse_args(argv[:split]), argv[split + 1 :]
    if options.way == "stream":
        return agent_main(rest, runtimes={"overlay": lambda: OverlayRuntime(stream_logic)})
    fabric = fabric_of(options.answers, dict(options.fault))
    if options.way == "plain":
        return agent_main(rest, runtimes={"overlay": lambda: OverlayRuntime(plain_logic(fabric))})
    import pynq

    from drivers.virtual.pynq.device import FabricDevice

    pynq.Device.active_device = FabricDevice(fabric, name=BOARD)
    return agent_main(rest, runtimes={"overlay": OverlayRuntime})


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
