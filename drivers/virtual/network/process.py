"""Starts and stops a forwarder process, from the coordinator's side."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import drivers
from testbed.errors import LinkError

if TYPE_CHECKING:
    from drivers.virtual.network.forwarder import ForwarderConfig

START_S = 10.0
STOP_S = 5.0


class Network:
    """A board's network while it is up.

    Attributes:
        offer: ``host`` and ``board`` addresses and the ``namespace``; empty while it is down.
        counts: packets by direction, once it was stopped.
    """

    def __init__(self, name: str, config: ForwarderConfig, file: Path) -> None:
        """Nothing runs yet.

        Args:
            name: for errors. file: where the options are written; the log comes beside it.
        """
        self._name = name
        self._config = config
        self._file = file
        self._process: Process | None = None
        self.offer: dict[str, Any] = {}
        self.counts: dict[str, Any] = {}

    async def start(self) -> None:
        """Set it up, unless it is.

        Raises:
            LinkError: it could not be set up in time; the log is named.
        """
        if self._process is not None and self._process.returncode is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(msgspec.json.encode(self._config))
        home = str(Path(drivers.__file__).parents[1])
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "drivers.virtual.network.forwarder",
                str(self._file),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_S):
                self.offer = await self._hear()
        except (TimeoutError, LinkError) as error:
            await self.stop()
            last = self._log.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise LinkError(
                f"the network was not set up: {''.join(last) or f'nothing heard within {START_S:g} s'}",
                link=self._name,
                cure=f'See {self._log}; `backend = "relay"` needs no root',
            ) from error

    def inside(self, *command: str) -> tuple[str, ...]:
        """The command line that runs ``command`` where the board is."""
        return ("ip", "netns", "exec", self.offer["namespace"], *command)

    async def stop(self) -> None:
        """Take it away and keep what it counted; kill it after five seconds."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                if self.offer and process.stdout is not None:
                    self.counts = json.loads(await process.stdout.readline() or b"{}")
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self.offer = {}

    @property
    def _log(self) -> Path:
        return self._file.with_suffix(".log")

    async def _hear(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise LinkError("the forwarder ended", link=self._name)
        message: dict[str, Any] = json.loads(line)
        return message
