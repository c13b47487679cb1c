"""The profiles of virtual PYNQ boards follow from the cycles beside the programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_they_are_what_the_script_makes_of_the_cycles() -> None:
    done = subprocess.run(
        [sys.executable, "experiments/npu/make_profiles.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
