"""An SSH server in a thread of its own, a pair of serial ends, and a far side that speaks as the test says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import struct
import threading
import tty
from pathlib import Path

import asyncssh
import msgspec
import pytest

from drivers.links.endpoint import SshConfig
from testbed.contracts.echo_spec import echo_spec
from testbed.errors import LinkError
from testbed.model.view import Health
from testbed.wire import PROTOCOL_VERSION, Role, Session, Tensor
from testbed.wire import messages as m


async def pump(read, sink):
    with contextlib.suppress(asyncssh.Error, OSError):
        while data := await read(65536):
            sink.write(data)
            await sink.drain()
        if isinstance(sink, asyncio.StreamWriter):
            sink.close()


class SshServer:
    """Runs `echo-bytes` itself, everything else as a child process; SFTP shows the whole file system."""

    def __init__(self, folder):
        self.folder = folder
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.other_key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.identity = folder / "id"
        self.identity.write_bytes(self.user_key.export_private_key())
        self.identity.chmod(0o600)
        self.authorized = folder / "authorized_keys"
        self.authorized.write_bytes(self.user_key.export_public_key())
        self.connections = []
        self.commands = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.call(self._start())
        self.port = self.server.sockets[0].getsockname()[1]

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def _start(self):
        owner = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn):
                owner.connections.append(conn)

        return await asyncssh.create_server(
            Server,
            "127.0.0.1",
            0,
            server_host_keys=[self.host_key, self.other_key],
            authorized_client_keys=str(self.authorized),
            process_factory=self._process,
            sftp_factory=True,
            encoding=None,
            allow_scp=False,
        )

    async def _process(self, process):
        self.commands.append(process.command)
        argv = shlex.split(process.command)
        with contextlib.suppress(asyncssh.Error, OSError):
            if argv[0] == "echo-bytes":
                while data := await process.stdin.read(65536):
                    process.stdout.write(data)
                    await process.stdout.drain()
                process.exit(0)
                return
            try:
                child = await asyncio.create_subprocess_exec(*argv, stdin=-1, stdout=-1, stderr=-1)
            except OSError as error:
                process.stderr.write(str(error).encode())
                process.exit(127)
                return
            feeding = asyncio.ensure_future(pump(process.stdin.read, child.stdin))
            try:
                await asyncio.gather(
                    pump(child.stdout.read, process.stdout), pump(child.stderr.read, process.stderr)
                )
                process.exit(await child.wait())
            finally:
                # Also when the server is stopped under it: nothing may be left for the garbage collector to find.
                feeding.cancel()
                if child.returncode is None:
                    child.kill()
                await child.wait()
                child._transport.close()

    def cut(self):
        """Drop every connection without a word."""

        async def work():
            for connection in self.connections:
                connection.abort()
            self.connections.clear()

        self.call(work())

    def config(self, **changes):
        return SshConfig(
            **{
                "host": "127.0.0.1",
                "port": self.port,
                "user": "tester",
                "identity": str(self.identity),
                "fingerprint": self.host_key.get_fingerprint(),
                "connect_timeout_s": 5,
            }
            | changes
        )

    def stop(self):
        async def work():
            self.server.close()
            for connection in self.connections:
                connection.abort()
            await self.server.wait_closed()
            for connection in self.connections:
                await connection.wait_closed()
            mine = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not mine]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self.loop.shutdown_default_executor()

        self.call(work())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory):
    server = SshServer(tmp_path_factory.mktemp("ssh"))
    yield server
    server.stop()


class SerialPair:
    """A pseudo-terminal whose other end echoes until it is closed."""

    def __init__(self):
        self.far, near = os.openpty()
        tty.setraw(near)
        self.near = near
        self.path = os.ttyname(near)
        self.stopping = False
        self.thread = threading.Thread(target=self._echo, daemon=True)
        self.thread.start()

    def _echo(self):
        with contextlib.suppress(OSError):
            while not self.stopping:
                data = os.read(self.far, 65536)
                while data:
                    data = data[os.write(self.far, data) :]

    def cut(self):
        if self.near >= 0:
            self.stopping = True
            os.write(self.near, b"\0")  # wakes the echo, so that its descriptor can be closed
            self.thread.join(5)
            os.close(self.far)
            os.close(self.near)
            self.near = -1


@pytest.fixture
def serial_pair():
    pair = SerialPair()
    yield pair
    pair.cut()


@pytest.fixture
def make_spec(tmp_path):
    """A board's specification with a quick and a slow echo model."""

    def make(kind="local", models=None, **options):
        spec = echo_spec(tmp_path, kind, options)
        return spec if models is None else msgspec.structs.replace(spec, models=models)

    return make


@pytest.fixture
def kill_child():
    """Kills the agents that this test process has started."""

    def kill():
        me = os.getpid()
        children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        for pid in children:
            if b"agent-" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)

    return kill


class FarSide:
    """A link with an agent at its end that does what the test says: `replies` maps a message class to a function."""

    name = "test://far-side"

    def __init__(self):
        self.session = Session(Role.AGENT)
        self.heard = []
        self.inbox = asyncio.Queue()
        self.open_ = False
        self.opened = 0
        self.replies = {
            m.Hello: lambda x: [self.welcome(x)],
            m.Probe: lambda x: [m.ProbeReply(x.seq, 5, 1)],
            m.Bye: lambda _: [m.Goodbye("asked")],
        }

    def welcome(self, hello, **changes):
        fields = {
            "version": PROTOCOL_VERSION,
            "fence": hello.fence,
            "agent_sha256": "",
            "boot_id": "b",
            "facts": {},
            "max_inflight": 4,
            "max_message_bytes": 1 << 20,
        }
        return m.Welcome(**fields | changes)

    @property
    def health(self):
        return Health.UP if self.open_ else Health.DOWN

    async def open(self):
        self.open_ = True
        self.opened += 1
        self.session = Session(Role.AGENT)
        self.inbox = asyncio.Queue()

    async def read(self):
        return await self.inbox.get() if self.open_ else b""

    async def write(self, data):
        if not self.open_:
            raise LinkError("the far side is gone", link=self.name)
        for message in self.session.receive(bytes(data)):
            self.heard.append(message)
            for reply in self.replies.get(type(message), lambda _: [])(message):
                self.say(reply)

    def say(self, message):
        self.session.send(message)
        while data := self.session.data_to_send():
            self.inbox.put_nowait(data)

    def die(self):
        self.open_ = False
        self.inbox.put_nowait(b"")

    async def close(self):
        if self.open_:
            self.die()

    def of(self, kind):
        return [message for message in self.heard if isinstance(message, kind)]


def done(message, exits=None, **report):
    """What an agent answers to an Infer: class 1 for every item."""
    items = len(message.samples)
    rows = b"".join(struct.pack("<2f", 0.25, 0.75) for _ in range(items))
    return m.Done(
        message.action, 1, 2, 3, exits or (0,) * items, (Tensor("float32", (items, 2), rows),), report
    )


@pytest.fixture
def far_side():
    side = FarSide()
    side.done = done
    return side
