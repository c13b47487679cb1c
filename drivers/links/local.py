"""A child process on this host as a link: its standard input and output are the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.links.health import Sign
from drivers.links.process import ChildLink
from testbed.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class LocalLink(ChildLink):
    """Starts a program at `open` and ends it at `close`."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        nice: int = 0,
        grace_s: float = 2.0,
        stall_s: float = 30.0,
        name: str | None = None,
    ) -> None:
        """Not connected yet.

        Args:
            argv: argument list; no shell sees it.
            env: the child's whole environment, or ``None`` for ours.
            nice: added to the child's priority value.
            grace_s: what the child gets to end by itself, and again after SIGTERM, before SIGKILL.
            stall_s: longest a write waits without the child taking anything.
            name: for errors.
        """
        self._argv = tuple(argv)
        self._env = dict(env) if env is not None else None
        self._nice = nice
        super().__init__(name or f"local://{argv[0]}", grace_s=grace_s, stall_s=stall_s)

    @property
    def pid(self) -> int | None:
        """The child's process identifier, for those who watch its load."""
        return self._child.pid

    async def open(self) -> None:
        """Start the program.

        Raises:
            LinkError: it cannot be started.
        """
        await self._child.stop()
        self._child = self._fresh()
        self._child.valve.note(Sign.OPENED)  # first, since the program may end before we look again
        try:
            await self._child.start(self._argv, env=self._env, nice=self._nice)
        except LinkError:
            self._child.valve.note(Sign.LOST)
            raise

    async def close(self) -> None:
        """End it, within three grace times."""
        await self._child.stop()
