"""A process of ours on this host that announces itself, and talks one JSON object a line over its standard streams."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import drivers


class Child:
    """One process at a time; a session of its own, so that Ctrl-C is for the coordinator, which stops it in order."""

    def __init__(self, log: Path) -> None:
        """Nothing runs.

        Args:
            log: where its standard error goes, appended.
        """
        self.log = log
        self._process: Process | None = None

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, command: tuple[str, ...], limit_s: float) -> dict[str, Any]:
        """Start it and wait for its first line.

        Raises:
            TimeoutError: no line within ``limit_s``. EOFError: it ended without one. Either way it is stopped.
        """
        home = str(Path(drivers.__file__).parents[1])
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(limit_s):
                return await self.hear()
        except BaseException:
            await self.stop(limit_s)
            raise

    def say(self, message: dict[str, Any]) -> None:
        """Send a line.

        Raises:
            EOFError: it does not run.
        """
        if self._process is None or self._process.stdin is None or not self.running:
            raise EOFError("it does not run")
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """The next line.

        Raises:
            EOFError: it has ended.
        """
        line = b""
        if self._process is not None and self._process.stdout is not None:
            line = await self._process.stdout.readline()
        if not line:
            raise EOFError("it ended unexpectedly")
        message: dict[str, Any] = json.loads(line)
        return message

    async def stop(self, limit_s: float, *, last_words: bool = False) -> dict[str, Any]:
        """End its input, so that it stops in order; kill it after ``limit_s``. What it said last, if asked for."""
        process, self._process = self._process, None
        if process is None:
            return {}
        if process.stdin is not None:
            process.stdin.close()
        said: dict[str, Any] = {}
        try:
            async with asyncio.timeout(limit_s):
                if last_words and process.stdout is not None:
                    said = json.loads(await process.stdout.readline() or b"{}")
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        return said

    def last_lines(self, size: int = 4000) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-size:] if self.log.is_file() else ""
