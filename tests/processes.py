"""Processes as /proc shows them, for tests of what outlives whom."""

from __future__ import annotations

from pathlib import Path


def running(pid: int) -> bool:
    """Whether a process is there and more than a zombie."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
