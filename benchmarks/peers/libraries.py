"""What Python's SSH libraries take: a channel of paramiko and of asyncssh to ``cat``, and one command per request."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import asyncssh
import paramiko

if TYPE_CHECKING:
    from benchmarks.peers import Login

_LIMIT_S = 30.0


class _Paramiko:
    """A connection whose calls block, so that nothing but the library is timed."""

    def __init__(self, login: Login) -> None:
        """Not connected yet."""
        self._login = login
        self._client = paramiko.SSHClient()

    async def open(self) -> None:
        """Log in."""
        self._client.load_host_keys(self._login.known_hosts)
        self._client.connect(
            self._login.host,
            self._login.port,
            self._login.user,
            key_filename=self._login.identity,
            look_for_keys=False,
            allow_agent=False,
        )

    async def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _command(self, command: str) -> paramiko.Channel:
        transport = self._client.get_transport()
        assert transport is not None
        channel = transport.open_session(timeout=_LIMIT_S)
        channel.settimeout(_LIMIT_S)
        channel.exec_command(command)
        return channel


class ParamikoChannel(_Paramiko):
    """One channel for all requests."""

    name = "paramiko channel"

    async def open(self) -> None:
        """Log in and start ``cat``."""
        await super().open()
        self._channel = self._command("exec cat")

    async def block(self, payload: bytes, n: int) -> list[int]:
        """One after the other."""
        took = []
        for _ in range(n):
            begun = time.monotonic_ns()
            self._channel.sendall(payload)
            missing = len(payload)
            while missing:
                missing -= len(self._channel.recv(missing))
            took.append(time.monotonic_ns() - begun)
        return took


class ParamikoCommand(_Paramiko):
    """One ``exec_command`` per request, as scripts do; the connection stays."""

    name = "paramiko exec_command"

    async def block(self, payload: bytes, n: int) -> list[int]:
        """One after the other."""
        took = []
        for _ in range(n):
            begun = time.monotonic_ns()
            channel = self._command("exec cat")
            channel.sendall(payload)
            channel.shutdown_write()
            missing = len(payload)
            while missing:
                missing -= len(channel.recv(missing))
            if channel.recv_exit_status():
                raise RuntimeError("cat failed")
            channel.close()
            took.append(time.monotonic_ns() - begun)
        return took


class AsyncsshChannel:
    """One channel of asyncssh for all requests."""

    name = "asyncssh channel"

    def __init__(self, login: Login) -> None:
        """Not connected yet."""
        self._login = login

    async def open(self) -> None:
        """Log in and start ``cat``."""
        async with asyncio.timeout(_LIMIT_S):
            self._connection = await asyncssh.connect(
                self._login.host,
                self._login.port,
                username=self._login.user,
                client_keys=[self._login.identity],
                known_hosts=self._login.known_hosts,
                agent_path=None,
                config=None,
            )
            self._process = await self._connection.create_process("exec cat", encoding=None)

    async def block(self, payload: bytes, n: int) -> list[int]:
        """One after the other."""
        took = []
        for _ in range(n):
            begun = time.monotonic_ns()
            self._process.stdin.write(payload)
            await self._process.stdout.readexactly(len(payload))
            took.append(time.monotonic_ns() - begun)
        return took

    async def close(self) -> None:
        """Hang up."""
        self._process.close()
        self._connection.close()
        await self._connection.wait_closed()
