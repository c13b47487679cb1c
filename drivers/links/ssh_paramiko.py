"""SSH by paramiko: works wherever Python does; a reading and a writing thread stand at the rim."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

import paramiko

from drivers.links.health import Sign
from drivers.links.login import hang_up, log_in
from drivers.links.pump import ThreadPump
from testbed.errors import LinkError
from testbed.model.view import Health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.links.endpoint import SshConfig

_POLL_S = 0.5
_TAIL_BYTES = 8192


class ParamikoLink:
    """One remote command whose standard input and output are the line."""

    def __init__(self, config: SshConfig, argv: Sequence[str], *, stall_s: float = 30.0) -> None:
        """Not connected yet; ``argv`` is run on the board."""
        self._config = config
        self._command = shlex.join(argv)  # SSH carries one string, which the board's shell splits again
        self._stall_s = stall_s
        self._transport: paramiko.Transport | None = None
        self._channel: paramiko.Channel | None = None
        self._pump: ThreadPump | None = None
        self._stderr = b""

    @property
    def name(self) -> str:
        """``ssh://user@host:port``."""
        return self._config.name

    @property
    def health(self) -> Health:
        """State of the stream."""
        return self._pump.valve.health if self._pump else Health.DOWN

    async def open(self) -> None:
        """Connect, verify, log in and start the command.

        Raises:
            HostKeyError: the host key is not the one to trust.
            LinkError: unreachable, refused, or time-out.
        """
        await self.close()
        connecting = asyncio.ensure_future(asyncio.to_thread(self._connect))
        try:
            self._transport, channel = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_abandon)
            raise
        self._channel, self._stderr = channel, b""
        self._pump = ThreadPump(self.name, read=self._receive, write=self._transmit, stall_s=self._stall_s)
        self._pump.start()

    def _connect(self) -> tuple[paramiko.Transport, paramiko.Channel]:
        transport = log_in(self._config)
        try:
            channel = transport.open_session(timeout=self._config.connect_timeout_s)
            channel.settimeout(self._config.connect_timeout_s)
            channel.exec_command(self._command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            hang_up(transport)
            text = f"the board does not start the command: {error}"
            raise LinkError(text, link=self.name) from error
        channel.settimeout(_POLL_S)
        return transport, channel

    def _receive(self) -> bytes | None:
        """Blocking read of the pump's thread; what the command complains about is kept aside."""
        channel = self._channel
        if channel is None:
            return b""
        try:
            data = channel.recv(1 << 16)
        except TimeoutError:
            self._keep_stderr(channel)
            return None
        if not data:
            self._keep_stderr(channel)
            if self._stderr:
                tail = self._stderr.decode(errors="replace").strip().splitlines()
                raise ConnectionAbortedError(f"the command ended; it said: {' | '.join(tail[-3:])}")
        return bytes(data)

    def _transmit(self, data: bytes) -> None:
        """Blocking write of the pump's thread; a shut window is waited for, a hung-up transport ends the wait."""
        channel = self._channel
        sent = 0
        while sent < len(data):
            try:
                count = channel.send(data[sent:]) if channel is not None else 0
            except TimeoutError:
                continue
            except (paramiko.SSHException, EOFError) as error:  # what it says when the other side is gone
                raise ConnectionAbortedError(str(error) or "the connection was lost") from error
            if not count:
                raise ConnectionAbortedError("the channel is closed")
            sent += count

    def _keep_stderr(self, channel: paramiko.Channel) -> None:
        while channel.recv_stderr_ready():
            data = channel.recv_stderr(1 << 16)
            if not data:
                return
            self._stderr = (self._stderr + data)[-_TAIL_BYTES:]

    async def read(self) -> bytes:
        """What the command wrote; ``b""`` once it is gone."""
        return await self._pump.inbox.take() if self._pump else b""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes to the command.

        Raises:
            LinkError: it is gone, or takes nothing.
        """
        if self._pump is None:
            raise LinkError("the link is down", link=self.name, cure="Open it first")
        await self._pump.send(bytes(data))

    async def close(self) -> None:
        """Let go, within five seconds."""
        pump, transport = self._pump, self._transport
        if pump is None or transport is None:
            return
        self._transport = None
        pump.valve.note(Sign.LOST)
        pump.stop()

        def part() -> None:
            hang_up(transport)
            pump.join()

        await asyncio.to_thread(part)


def _abandon(connecting: asyncio.Future[tuple[paramiko.Transport, paramiko.Channel]]) -> None:
    """The caller lost patience while the thread went on: what it still brings is closed at once."""
    if not connecting.cancelled() and connecting.exception() is None:
        hang_up(connecting.result()[0])
