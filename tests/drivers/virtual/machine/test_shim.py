from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[4]
PROGRAM = """
import sys
from pathlib import Path
from drivers.virtual.machine.shim import adopt
adopt(Path(sys.argv[1]))
import drivers.agent, testbed.errors, drivers.virtual.machine.clock
print(drivers.agent.__file__)
print(testbed.errors.__file__)
print(drivers.virtual.machine.clock.__file__)
"""


def shim(archive: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(archive)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_deployed_code_comes_before_ours(tmp_path: Path) -> None:
    archive = tmp_path / "agent.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        for name in (
            "drivers/__init__.py",
            "drivers/agent/__init__.py",
            "testbed/__init__.py",
            "testbed/errors.py",
        ):
            file.writestr(name, "")
    agent, errors, clock = shim(archive).stdout.split()
    assert agent.startswith(f"{archive}/")
    assert errors.startswith(f"{archive}/")
    assert Path(clock).is_relative_to(ROOT)


def test_nothing_deployed_is_an_error(tmp_path: Path) -> None:
    done = shim(tmp_path / "agent.pyz")
    assert done.returncode != 0
    assert "FileNotFoundError" in done.stderr
