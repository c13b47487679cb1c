"""A small hello experiment on the virtual lab, played by the command a person types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shrink(
    folder: Path, requests: int, rate_hz: float = 90, policies: str = "", boards: tuple[str, ...] = ()
) -> Path:
    """The shipped campaign with fewer requests on the shipped lab, or on those of its boards that are named."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "experiments" / "00-hello" / "campaign.toml").read_text()
    lab = ROOT / "experiments" / "labs" / "virtual.toml"
    if boards:
        head, *blocks = lab.read_text().split("\n[boards.")
        kept = [block for block in blocks if block.partition("]")[0] in boards]
        assert len(kept) == len(boards)
        lab = folder / "lab.toml"
        lab.write_text("\n[boards.".join([head, *kept]))
    for old, new in (
        ("requests = 2000", f"requests = {requests}"),
        ("rate_hz = 90", f"rate_hz = {rate_hz}"),
        ('lab = "../labs/virtual.toml"', f'lab = "{lab}"'),
        ("idle_s = 1.0", "idle_s = 0.8"),
        ("probes = 32", "probes = 8"),
        ("warmup = 10", "warmup = 2"),
    ):
        assert old in text
        text = text.replace(old, new)
    if policies:
        text = text.replace('policies = ["edgesight", "edge-only", "dc-only"]', f"policies = {policies}")
    (folder / "campaign.toml").write_text(text)
    return folder


def start(*args: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "testbed", *map(str, args)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def module_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what the tests of one module share."""
    return tmp_path_factory.mktemp("flow")
