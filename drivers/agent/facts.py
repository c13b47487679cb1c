"""What the agent tells about the board in its welcome."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import zipfile
from pathlib import Path

from drivers.agent import jetson
from testbed import __version__


def boot_id() -> str:
    """A number that changes when the board is started again, empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def machine_name(etc: Path = Path("/etc")) -> str:
    """A file name for this machine among those that share a home directory: host name, and machine id if it has one."""
    try:
        number = (etc / "machine-id").read_text("ascii").strip()[:8]
    except (OSError, ValueError):
        number = ""
    name = "".join(c if c.isalnum() or c in "-." else "_" for c in platform.node())
    return "-".join(part for part in (name.lstrip(".") or "board", number) if part)


def own_sha256() -> str:
    """SHA-256 of the ``.pyz`` this agent was started from, empty if it runs from loose files."""
    for parent in Path(__file__).parents:
        if parent.is_file():
            return hashlib.sha256(parent.read_bytes()).hexdigest() if zipfile.is_zipfile(parent) else ""
    return ""


def board_facts(root: Path) -> dict[str, object]:
    """What does not change while the agent runs; ``jetson`` only on a Jetson, ``governor`` where the kernel has one."""
    facts: dict[str, object] = {
        "agent": __version__,
        "machine": platform.machine(),
        "system": platform.platform(),
        "hostname": platform.node(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "cpus": os.cpu_count() or 0,
        "pid": os.getpid(),
    }
    governor = _governor(root)
    if governor:
        facts["governor"] = governor
    found = jetson.identity(root)
    if found:
        facts["jetson"] = found
    return facts


def _governor(root: Path) -> str:
    """Frequency governors of the cores, ``+`` between different ones; empty where the kernel governs none.

    Source: Linux Documentation/admin-guide/pm/cpufreq.rst.
    """
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return "+".join(sorted({_line(file) for file in files} - {""}))


def _line(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return ""  # of a core that is offline
