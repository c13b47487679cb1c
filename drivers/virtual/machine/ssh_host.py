"""An SSH host that needs no privileges: fresh keys, SFTP into the board's own tree, and the board's few commands.

    python -m drivers.virtual.machine.ssh_host CONFIG

Announces ``port``, ``fingerprint``, ``host_key``, ``user`` and ``identity`` (a private key made for this host) as one
JSON line; then takes orders (``orders``): ``cut``, ``garble``, ``stall``, ``step_clock``, ``kill_agent``,
``reboot``. Listens on one address, 127.0.0.1 unless told otherwise, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import logging
import posixpath
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from drivers.virtual.machine.command import Agent, interpret
from drivers.virtual.machine.config import HOME, MachineConfig, read_config
from drivers.virtual.machine.machine import Machine
from drivers.virtual.machine.orders import announce, obey
from drivers.virtual.machine.tamper import Tamper
from drivers.virtual.machine.waiting import die_with_parent, sharpen_timers

if TYPE_CHECKING:
    from asyncio.subprocess import Process

USER = "testbed"
_CHUNK = 65536
_LOOK_S = 0.05


class SshHost:
    """One host: keys, listener, connections, and the machine behind them."""

    def __init__(self, config: MachineConfig, file: Path) -> None:
        """Make keys; nothing listens yet."""
        self._config = config
        self._machine = Machine(config, file)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._client_key = asyncssh.generate_private_key("ssh-ed25519")
        self._to_board = Tamper(seed=config.seed)
        self._to_host = Tamper(seed=config.seed + 1)
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._listener: asyncssh.SSHAcceptor | None = None
        self._port = 0

    async def listen(self) -> None:
        """Open the port: any free one the first time, the same one after a reboot."""
        root = self._config.root
        public = self._client_key.export_public_key().decode("ascii")
        self._listener = await asyncssh.create_server(
            lambda: _Door(self._connections),
            self._config.listen,
            self._port,
            server_host_keys=[self._host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(public),
            process_factory=self._serve,
            sftp_factory=lambda channel: _BoardFiles(channel, root),
            encoding=None,
            compression_algs=None,
            agent_forwarding=False,
            allow_pty=False,
            reuse_address=True,
            line_editor=False,
            login_timeout=10,
        )
        self._port = self._listener.get_port()

    def introduce(self, identity: Path) -> dict[str, object]:
        """Leave the client's key at ``identity`` and say how to reach the host."""
        identity.unlink(missing_ok=True)
        identity.touch(mode=0o600)
        identity.write_bytes(self._client_key.export_private_key())
        return {
            "host": self._config.listen,
            "port": self._port,
            "user": USER,
            "identity": str(identity),
            "fingerprint": self._host_key.get_fingerprint(),
            "host_key": self._host_key.export_public_key().decode("ascii").strip(),
        }

    async def close(self) -> None:
        """Drop everybody and stop the agents."""
        await self._close_port()
        await self.cut()
        await self._machine.kill()

    async def cut(self, seconds: float = 0.0) -> None:
        """Break every connection without a word; refuse new ones for a while."""
        if seconds > 0:
            await self._close_port()
        for connection in list(self._connections):
            connection.abort()
        if seconds > 0:
            await asyncio.sleep(seconds)
            await self.listen()

    async def garble(self, count: int = 16, flip: bool = False, towards: str = "host") -> None:
        """Noise on the agent's stream, as from a program that writes to the wrong place."""
        tamper = self._to_host if towards == "host" else self._to_board
        if flip:
            tamper.flip(count)
        else:
            tamper.inject(count)

    async def stall(self, seconds: float) -> None:
        """No bytes of agents in either direction for a while."""
        self._to_board.stall(seconds)
        self._to_host.stall(seconds)

    async def step_clock(self, seconds: float) -> None:
        """Let the board's clock jump."""
        self._machine.step_clock(seconds)

    async def kill_agent(self) -> None:
        """Kill the agents; the host stays."""
        await self._machine.kill()

    async def reboot(self) -> None:
        """Everything ends; the host is back on its port after its boot time."""
        await self._close_port()
        await self.cut()
        await self._machine.reboot()
        self._to_board.end_stall()
        self._to_host.end_stall()
        await asyncio.sleep(self._config.boot_ms / 1e3)
        await self.listen()

    async def _close_port(self) -> None:
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None

    async def _serve(self, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        if channel.command is None:
            channel.stderr.write(b"the virtual board has no login shell\n")
            channel.exit(1)
            return
        wanted = interpret(self._config.root, channel.command)
        if not isinstance(wanted, Agent):
            channel.stdout.write(wanted.output.encode())
            channel.stderr.write(wanted.errors.encode())
            channel.exit(wanted.code)
            return
        ends = (channel.get_extra_info("peername"), channel.get_extra_info("sockname"))
        session = " ".join(f"{end[0]} {end[1]}" for end in ends)
        process = await self._machine.spawn(wanted.program, wanted.arguments, session=session)
        try:
            await self._bridge(channel, process)
        finally:
            code = await self._machine.reap(process)
            channel.exit(code if code >= 0 else 128 - code)

    async def _bridge(self, channel: asyncssh.SSHServerProcess[bytes], process: Process) -> None:
        """Carry bytes until the agent's output ends."""
        async with asyncio.TaskGroup() as tasks:
            inbound = tasks.create_task(self._inbound(channel, process))
            errors = tasks.create_task(_errors(channel, process))
            await self._outbound(channel, process)
            inbound.cancel()
            await errors

    async def _inbound(self, channel: asyncssh.SSHServerProcess[bytes], process: Process) -> None:
        into = process.stdin
        assert into is not None
        try:
            while data := await channel.stdin.read(_CHUNK):
                await _silence(self._to_board)
                into.write(self._to_board.apply(data))
                await into.drain()
        except (OSError, asyncssh.Error):
            logging.getLogger(__name__).debug("a connection broke", exc_info=True)
        into.close()  # the agent ends with its input

    async def _outbound(self, channel: asyncssh.SSHServerProcess[bytes], process: Process) -> None:
        out = process.stdout
        assert out is not None
        try:
            while data := await out.read(_CHUNK):
                await _silence(self._to_host)
                channel.stdout.write(self._to_host.apply(data))
                await channel.stdout.drain()
        except (OSError, asyncssh.Error):
            logging.getLogger(__name__).debug("a connection broke", exc_info=True)


async def _errors(channel: asyncssh.SSHServerProcess[bytes], process: Process) -> None:
    out = process.stderr
    assert out is not None
    while data := await out.read(_CHUNK):
        try:
            channel.stderr.write(data)
        except (OSError, asyncssh.Error):
            logging.getLogger(__name__).debug("nobody left to tell", exc_info=True)


async def _silence(tamper: Tamper) -> None:
    while left := tamper.silence_s:  # noqa: ASYNC110 - a reboot may end it early
        await asyncio.sleep(min(left, _LOOK_S))


class _Door(asyncssh.SSHServer):
    """Knows who is connected, so that a cut can reach them."""

    def __init__(self, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections
        self._own: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._own = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._own is not None:
            self._connections.discard(self._own)

    def begin_auth(self, username: str) -> bool:
        return True


class _BoardFiles(asyncssh.SFTPServer):
    """SFTP into the board's tree; relative paths start at the home directory."""

    def __init__(self, channel: asyncssh.SSHServerChannel[Any], root: Path) -> None:
        super().__init__(channel, chroot=str(root).encode())

    def map_path(self, path: bytes) -> bytes:
        return super().map_path(posixpath.join(b"/", HOME.encode(), path))


async def serve(file: Path) -> None:
    """Be the host until standard input ends."""
    config = read_config(file)
    config.home.mkdir(parents=True, exist_ok=True)
    host = SshHost(config, file)
    await host.listen()
    announce(host.introduce(file.with_name("id_ed25519")))
    try:
        await obey(
            {
                "cut": host.cut,
                "garble": host.garble,
                "stall": host.stall,
                "step_clock": host.step_clock,
                "kill_agent": host.kill_agent,
                "reboot": host.reboot,
            }
        )
    finally:
        await host.close()


def main(arguments: list[str]) -> int:
    """Entry point of the process."""
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    die_with_parent()
    sharpen_timers()
    asyncio.run(serve(Path(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
