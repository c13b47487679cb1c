"""The virtual computer behind a link: it boots, runs agents, and can be told to die."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import TYPE_CHECKING

from drivers.virtual.machine.clock import Offset
from drivers.virtual.machine.config import TOOLS, MachineConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CHUNK = 65536


class Machine:
    """Starts agents as separate processes; every boot has its own boot id and its own clock."""

    def __init__(self, config: MachineConfig, file: Path) -> None:
        """Switch on.

        Args:
            file: where ``config`` was read from; agents read it too, and the clock's offset lies beside it.
        """
        self._config = config
        self._file = file
        self._boots = 0
        self._clock = clock_file(file)
        self._offset = Offset(self._clock, start=config.clock_offset_ns)
        self._running: set[Process] = set()

    @property
    def boot_id(self) -> str:
        """Changes with every boot, and is the same for the same seed."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._config.name}/{self._config.seed}/{self._boots}"))

    async def spawn(
        self,
        program: Path,
        arguments: Sequence[str],
        *,
        piped: bool = True,
        session: str = "",
    ) -> Process:
        """Run an agent.

        Args:
            program: the deployed ``.pyz``.
            arguments: as given to it.
            piped: its standard streams are pipes; otherwise it has none but the terminal it opens.
            session: what an SSH host tells of the session in ``SSH_CONNECTION``.
        """
        stream = PIPE if piped else DEVNULL
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "drivers.virtual.machine.shim",
            str(self._file),
            self.boot_id,
            str(self._clock),
            str(program),
            *arguments,
            stdin=stream,
            stdout=stream,
            stderr=PIPE if piped else None,
            cwd=self._config.home,
            env={
                **os.environ,
                "HOME": str(self._config.home),
                "PATH": os.pathsep.join((str(self._config.root / TOOLS), os.environ.get("PATH", os.defpath))),
                "SSH_CONNECTION": session,
                # Threads of one matrix product that wait for each other on shared cores take a hundred times as long.
                "OPENBLAS_NUM_THREADS": "1",
            },
            limit=_CHUNK,
        )
        self._running.add(process)
        return process

    async def reap(self, process: Process) -> int:
        """Wait for an agent's end, helping it along after a second."""
        try:
            async with asyncio.timeout(1.0):
                await process.wait()
        except TimeoutError:
            _kill(process)
            await process.wait()
        self._running.discard(process)
        return process.returncode if process.returncode is not None else -1

    async def kill(self) -> None:
        """Kill every agent, as ``kill -9`` would."""
        for process in list(self._running):
            _kill(process)
            await process.wait()
            self._running.discard(process)

    async def reboot(self) -> None:
        """Kill everything; the next agent finds a new boot id and a monotonic clock that started just now."""
        await self.kill()
        self._boots += 1
        self._offset.set(-time.monotonic_ns() - self._config.boot_ms * 1_000_000)

    def step_clock(self, seconds: float) -> None:
        """Let the clock jump, for the agents that run as well."""
        self._offset.set(self._offset() + round(seconds * 1e9))


def clock_file(file: Path) -> Path:
    """Where a machine that was told ``file`` keeps its clock's offset."""
    return file.with_suffix(".clock")


def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
