"""Starts and stops a forwarder process, from the coordinator's side."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from drivers.virtual.child import Child
from testbed.errors import LinkError

if TYPE_CHECKING:
    from pathlib import Path

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
        self._child = Child(file.with_suffix(".log"))
        self.offer: dict[str, Any] = {}
        self.counts: dict[str, Any] = {}

    async def start(self) -> None:
        """Set it up, unless it is.

        Raises:
            LinkError: it could not be set up in time; the log is named.
        """
        if self._child.running:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(msgspec.json.encode(self._config))
        command = (sys.executable, "-m", "drivers.virtual.network.forwarder", str(self._file))
        try:
            self.offer = await self._child.start(command, START_S)
        except (TimeoutError, EOFError) as error:
            last = "".join(self._child.last_lines().strip().splitlines()[-1:])
            raise LinkError(
                f"the network was not set up: {last or f'nothing heard within {START_S:g} s'}",
                link=self._name,
                cure=f'See {self._child.log}; backend = "relay" needs no root',
            ) from error

    def inside(self, *command: str) -> tuple[str, ...]:
        """The command line that runs ``command`` where the board is."""
        return ("ip", "netns", "exec", self.offer["namespace"], *command)

    async def stop(self) -> None:
        """Take it away and keep what it counted; kill it after five seconds."""
        if self._child.running:
            self.counts = await self._child.stop(STOP_S, last_words=True)
        self.offer = {}
