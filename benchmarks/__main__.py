"""Runs every benchmark of this folder, each in a process of its own, and says at the end which met its targets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HELPERS = {"__init__", "__main__", "clock_truth", "specs", "verdict"}


def main() -> int:
    """Run them all with the arguments given here; 0 if every one met its targets."""
    scripts = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - HELPERS)
    codes = {}
    for script in scripts:
        print(f"== {script}", flush=True)
        codes[script] = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{script}", *sys.argv[1:]], check=False
        ).returncode
    print("== all")
    for script, code in codes.items():
        print(f"{script:12} {'met' if code == 0 else 'missed' if code == 1 else f'broke (exit code {code})'}")
    return max(codes.values())


if __name__ == "__main__":
    sys.exit(main())
