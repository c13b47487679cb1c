"""Starts and stops the processes behind a virtual board, and passes orders on to them."""

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
from drivers.virtual.machine.config import MachineConfig, write_config
from testbed.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.virtual.network.process import Network

START_S = 20.0
ORDER_S = 30.0
STOP_S = 3.0


class FarSide:
    """One far-side process.

    Attributes:
        offer: what it announced when it started; empty before.
    """

    def __init__(
        self,
        module: str,
        config: MachineConfig,
        file: Path,
        *,
        lay_out: Callable[[], None] = lambda: None,
        network: Network | None = None,
    ) -> None:
        """Nothing runs yet.

        Args:
            module: below ``drivers.virtual.machine``.
            config: what it is told.
            file: where that is written; keys and log come beside it.
            lay_out: puts files in place before it starts.
            network: what it stands behind; started and stopped with it.
        """
        self._module = f"drivers.virtual.machine.{module}"
        self._config = config
        self._file = file
        self._lay_out = lay_out
        self._network = network
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self.offer: dict[str, Any] = {}

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, unless it runs.

        Raises:
            BoardError: it did not announce itself in time; the cure names its log.
        """
        if self.running:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._config.home.mkdir(parents=True, exist_ok=True)
        self._lay_out()
        if self._network is not None:
            await self._network.start()
            self._config = msgspec.structs.replace(self._config, listen=self._network.offer["board"])
        write_config(self._config, self._file)
        home = str(Path(drivers.__file__).parents[1])
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
        with self._log.open("ab") as log:
            command: tuple[str, ...] = (sys.executable, "-m", self._module, str(self._file))
            if self._network is not None:
                command = self._network.inside(*command)
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the coordinator, which then stops it in order
            )
        try:
            async with asyncio.timeout(START_S):
                self.offer = await self._hear()
        except TimeoutError as error:
            await self.stop()
            raise self._error(f"the virtual board did not start within {START_S:g} s") from error
        except BaseException:
            await self.stop()
            raise

    async def order(self, name: str, **arguments: object) -> None:
        """Have something done there, and wait until it is.

        Raises:
            BoardError: it does not run, refused, or took too long.
        """
        async with self._turn:
            if self._process is None or self._process.stdin is None or not self.running:
                raise self._error("the virtual board does not run")
            self._process.stdin.write(json.dumps({"do": name, **arguments}).encode() + b"\n")
            try:
                async with asyncio.timeout(ORDER_S):
                    reply = await self._hear()
            except TimeoutError as error:
                raise self._error(f"order {name!r} was not carried out within {ORDER_S:g} s") from error
        if "error" in reply:
            raise self._error(f"order {name!r} failed: {reply['error']}")

    async def stop(self) -> None:
        """End its input, so that it stops in order; kill it after three seconds."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)
        if self._network is not None:
            await self._network.stop()

    @property
    def _log(self) -> Path:
        return self._file.with_suffix(".log")

    async def _hear(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise self._error("the virtual board ended unexpectedly")
        message: dict[str, Any] = json.loads(line)
        return message

    def _error(self, message: str) -> BoardError:
        last = ""
        if self._log.is_file():
            last = self._log.read_text(encoding="utf-8", errors="replace")[-4000:]
        return BoardError(message, board=self._config.name, traceback=last, cure=f"See {self._log}")


async def _end(process: Process) -> None:
    """Let it end in order, or kill it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
