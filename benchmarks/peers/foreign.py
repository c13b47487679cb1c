"""Peers that cannot be installed beside us: each runs in a virtual environment of its own, made when first needed.

labgrid brings a fork of pyserial that shadows the real one; apache-tvm is large. A script in this folder speaks for
each: it takes ``[size, n]`` in JSON lines on its standard input and answers the round trips in ns, or ``{"error": …}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from benchmarks.peers import Login

_INSTALL_S = 600.0
_ANSWER_S = 120.0
_END_S = 10.0


class Foreign:
    """One library in its own interpreter."""

    def __init__(self, name: str, packages: tuple[str, ...], script: str, login: Login) -> None:
        """Nothing is installed yet; ``script`` lies beside this file."""
        self.name = name
        self._packages = packages
        self._script = Path(__file__).with_name(script)
        self._login = login

    async def open(self) -> None:
        """Install and start; raises `RuntimeError` with the reason if either fails."""
        python = await asyncio.to_thread(_environment, self._packages)
        self._process = await asyncio.create_subprocess_exec(
            python,
            self._script,
            json.dumps(msgspec.to_builtins(self._login)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            limit=1 << 22,
            start_new_session=True,
        )
        await self._ask(100, 1)

    async def block(self, payload: bytes, n: int) -> list[int]:
        """One after the other, timed over there."""
        return await self._ask(len(payload), n)

    async def close(self) -> None:
        """End the script by ending its input, so that it ends what it started; then by force, all of it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def _ask(self, size: int, n: int) -> list[int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([size, n]).encode() + b"\n")
        try:
            async with asyncio.timeout(_ANSWER_S):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            await self.close()
            raise RuntimeError(f"no answer within {_ANSWER_S:g} s") from error
        told = json.loads(line) if line else {"error": "its script ended without a word"}
        if not isinstance(told, list):
            await self.close()
            raise RuntimeError(str(told["error"]))
        return told


def _environment(packages: tuple[str, ...]) -> Path:
    """The interpreter of a virtual environment that has the packages; in the user's cache, kept for the next time."""
    package = packages[0]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "testbed" / "benchmarks" / f"{package}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if done.exists():
        return python
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
    )
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
        except subprocess.CalledProcessError as error:
            lines = [line for line in error.stderr.splitlines() if "ERROR" in line] or ["no reason given"]
            raise RuntimeError(f"{package} cannot be installed: {lines[-1][:200]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(f"{package} cannot be installed: {error}") from error
    done.touch()
    return python
