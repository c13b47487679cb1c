"""Starts and stops the processes behind a virtual board, and passes orders on to them."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from drivers.virtual.child import Child
from drivers.virtual.machine.config import MachineConfig, write_config
from testbed.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
        self._child = Child(file.with_suffix(".log"))
        self._turn = asyncio.Lock()
        self.offer: dict[str, Any] = {}

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._child.running

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
        command: tuple[str, ...] = (sys.executable, "-m", self._module, str(self._file))
        if self._network is not None:
            command = self._network.inside(*command)
        try:
            self.offer = await self._child.start(command, START_S)
        except TimeoutError as error:
            raise self._error(f"the virtual board did not start within {START_S:g} s") from error
        except EOFError as error:
            raise self._error("the virtual board ended unexpectedly") from error

    async def order(self, name: str, **arguments: object) -> None:
        """Have something done there, and wait until it is.

        Raises:
            BoardError: it does not run, refused, or took too long.
        """
        async with self._turn:
            if not self.running:
                raise self._error("the virtual board does not run")
            try:
                self._child.say({"do": name, **arguments})
                async with asyncio.timeout(ORDER_S):
                    reply = await self._child.hear()
            except TimeoutError as error:
                raise self._error(f"order {name!r} was not carried out within {ORDER_S:g} s") from error
            except EOFError as error:
                raise self._error("the virtual board ended unexpectedly") from error
        if "error" in reply:
            raise self._error(f"order {name!r} failed: {reply['error']}")

    async def stop(self) -> None:
        """End its input, so that it stops in order; kill it after three seconds."""
        await self._child.stop(STOP_S)
        if self._network is not None:
            await self._network.stop()

    def _error(self, message: str) -> BoardError:
        last, log = self._child.last_lines(), self._child.log
        return BoardError(message, board=self._config.name, traceback=last, cure=f"See {log}")
