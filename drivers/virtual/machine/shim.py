"""Runs a deployed agent with a virtual board around it: another clock, a paced runtime, a sysfs tree of its own.

    python -m drivers.virtual.machine.shim CONFIG BOOT_ID CLOCK AGENT.pyz [ARGUMENT ...]

The agent's code is the deployed file's own, byte for byte; only the parts that its ``main`` takes are other ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def adopt(agent: Path) -> None:
    """Let the deployed archive's packages come before ours, so that its code is what runs.

    Raises:
        FileNotFoundError: nothing is deployed there.
    """
    import drivers
    import testbed

    if not agent.is_file():
        raise FileNotFoundError(agent)
    sys.path.insert(0, str(agent))
    for package in (drivers, testbed):
        package.__path__.insert(0, f"{agent}/{package.__name__}")


def main(arguments: list[str]) -> int:
    """Set the board up and become its agent."""
    file, boot_id, clock, agent, *rest = arguments
    adopt(Path(agent))
    # Imported only now: these reach the wire and the agent, which must come out of the archive.
    from drivers.virtual.machine.board import run_agent

    return run_agent(Path(file), boot_id, Path(clock), rest)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # as the archive's own front door does: executing threads need not be waited for
