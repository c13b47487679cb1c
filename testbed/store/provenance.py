"""What a header pins about the program and the machine that ran it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

GIT_LIMIT_S = 5.0
PACKAGES = (
    "testbed",
    "numpy",
    "scipy",
    "msgspec",
    "onnxruntime",
    "paramiko",
    "asyncssh",
    "pyserial",
    "matplotlib",
)


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the source tree around ``folder``; ``None`` twice outside of one, or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if status is None else bool(status)


def versions() -> dict[str, str]:
    """Python and the packages that can change a figure; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def host_facts(
    *, cpu: str = "", boot_id: str = "", host_id: str = "", governor: str = "", clock_source: str = ""
) -> dict[str, Any]:
    """The coordinator's machine; no host name, since run folders travel."""
    return {
        "id": host_id,
        "os": platform.platform(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 1,
        "cpu": cpu,
        "governor": governor,
        "clock_source": clock_source,
        "boot_id": boot_id,
    }


def sha256_of(data: bytes | Path) -> str:
    """Hash of bytes, or of a file read in pieces, in hex."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git(folder: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args],
            capture_output=True,
            text=True,
            timeout=GIT_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
