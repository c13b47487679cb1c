"""What Zeus' Jetson back end makes of the same fake sysfs tree, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PACKAGES = ("zeus==0.16.0", "nvidia-ml-py==13.615.71", "httpx==0.28.1")
"""Zeus without the dependencies that its Jetson module does not import (pandas, scikit-learn, amdsmi, …)."""
HOME = Path("runs/peers/zeus-0.16.0")
CHILD = Path(__file__).with_name("zeus_child.py")
INSTALL_S = 150.0
RUN_S = 120.0


def zeus_joules(runs: Sequence[dict[str, Any]]) -> list[float] | str:
    """Joules over each run's window as Zeus tells it, or why it cannot be asked."""
    python = HOME / "bin" / "python"
    try:
        if not (HOME / "ready").exists():
            venv.create(HOME, with_pip=True, clear=True)
            for deps, names in ((["--no-deps"], PACKAGES[:2]), ([], PACKAGES[2:])):
                command = [
                    str(python),
                    "-m",
                    "pip",
                    "--disable-pip-version-check",
                    "install",
                    "-q",
                    *deps,
                    *names,
                ]
                done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
                if done.returncode:
                    return f"cannot be installed: {_last(done.stderr)}"
            (HOME / "ready").touch()
        lines = "".join(json.dumps(run) + "\n" for run in runs)
        done = subprocess.run(
            [str(python), "-P", str(CHILD)],
            input=lines,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"cannot be installed or driven: {error}"
    if done.returncode:
        return f"cannot be driven: {_last(done.stderr)}"
    return [float(line) for line in done.stdout.split()]


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no word of why"
