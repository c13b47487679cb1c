"""Packs the agent into one ``.pyz`` whose bytes depend on its sources only, so that its hash names it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_FILES = ("testbed/__init__.py", "testbed/errors.py", "drivers/__init__.py")
_PACKAGES = ("testbed/wire", "drivers/agent")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip file can state
_MAIN = b"""import os, sys
if sys.version_info < (3, 8):
    sys.exit("testbed's agent needs Python 3.8 or later, this is " + sys.version.split()[0])
from drivers.agent.program import main
code = main(sys.argv[1:])
sys.stderr.flush()
os._exit(code)
"""


def build_agent(out: Path) -> str:
    """Write the agent to ``out``; give its SHA-256 in hexadecimal.

    Raises:
        OSError: ``out`` cannot be written.
    """
    data = _pack()
    out.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def agent_source_sha256() -> str:
    """The SHA-256 that ``build_agent`` would give, without a file."""
    return hashlib.sha256(_pack()).hexdigest()


def _pack() -> bytes:
    sources = [_ROOT / name for name in _FILES]
    for package in _PACKAGES:
        sources.extend((_ROOT / package).rglob("*.py"))
    entries = {path.relative_to(_ROOT).as_posix(): path.read_bytes() for path in sources}
    entries["__main__.py"] = _MAIN
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, entries[name])
    return buffer.getvalue()
