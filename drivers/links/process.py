"""A child process whose standard input and output are the stream; what local and OpenSSH links are made of.

Its output comes through a pipe of our own: asyncio's would hand each piece on in a later turn of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from typing import TYPE_CHECKING, cast

from drivers.links.health import Sign
from drivers.links.stream import Inbox, Valve
from testbed.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.model.view import Health

_TAIL_BYTES = 8192
_SLICE_BYTES = 256 * 1024
_OTHER_HALF_S = 1.0
_READ_BYTES = 256 * 1024
_PIPE_BYTES = 1 << 20


class _Child(asyncio.SubprocessProtocol):
    """Callbacks of one child."""

    def __init__(self, owner: ChildStream) -> None:
        self._owner = owner
        self.exited = asyncio.get_running_loop().create_future()
        self._half = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Before the start has returned: a program that ends at once tells its exit status through this.
        self._owner.adopt(cast("asyncio.SubprocessTransport", transport))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._owner.take_stderr(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._owner.input_lost()

    def pause_writing(self) -> None:
        self._owner.valve.shut()

    def resume_writing(self) -> None:
        self._owner.valve.unshut()

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)
        self.half_ended()

    def half_ended(self) -> None:
        """Output and process end in either order: the second tells the whole story, but need not ever come."""
        if self._half:
            self._owner.finish()
        else:
            self._half = True
            asyncio.get_running_loop().call_later(_OTHER_HALF_S, self._owner.finish)


class ChildStream:
    """One run of one program, started from an argument list and never by a shell.

    Attributes:
        inbox: what it writes. valve: room towards it, and the link's state.
        stderr: the last 8 KiB of its standard error.
        news: set whenever standard error grew or the process ended; for those who wait for a line.
    """

    def __init__(self, name: str, *, grace_s: float = 2.0, stall_s: float = 30.0) -> None:
        """Not started yet; ``grace_s`` is what it gets to end by itself before each harsher step."""
        self.name = name
        self.stderr = b""
        self.news = asyncio.Event()
        self.valve = Valve(name, stall_s=stall_s)
        self.inbox = Inbox(pause=self._pause, resume=self._resume)
        self._grace_s = grace_s
        self._transport: asyncio.SubprocessTransport | None = None
        self._input: asyncio.WriteTransport | None = None
        self._stopped = False
        self._protocol: _Child | None = None
        self._output = -1

    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, nice: int = 0
    ) -> None:
        """Start the program; the stream counts as up only once its owner says so.

        Raises:
            LinkError: it cannot be started.
        """
        loop = asyncio.get_running_loop()
        output, theirs = os.pipe()
        os.set_blocking(output, False)
        with contextlib.suppress(OSError):  # an unprivileged user may have used up what pipes may hold
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            transport, self._protocol = await loop.subprocess_exec(
                lambda: _Child(self),
                *argv,
                stdout=theirs,
                env=dict(env) if env is not None else None,
                start_new_session=True,
            )
        except BaseException as error:
            os.close(output)
            if not isinstance(error, OSError | ValueError):
                raise
            cure = "Check the path of the program and its permissions"
            raise LinkError(f"cannot start {argv[0]}: {error}", link=self.name, cure=cure) from error
        finally:
            os.close(theirs)
        self._output = output
        loop.add_reader(output, self._read)
        if nice:
            # the child may be gone already, and then its priority does not matter
            with contextlib.suppress(OSError):
                own = os.getpriority(os.PRIO_PROCESS, 0)
                os.setpriority(os.PRIO_PROCESS, transport.get_pid(), own + nice)

    def adopt(self, transport: asyncio.SubprocessTransport) -> None:
        """Take the child that was just started."""
        self._transport = transport
        self._input = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """Process identifier, or ``None`` before the start and after the stop."""
        return self._transport.get_pid() if self._transport and not self._stopped else None

    @property
    def returncode(self) -> int | None:
        """Exit status, or ``None`` while it runs."""
        return self._transport.get_returncode() if self._transport else None

    def take_stderr(self, data: bytes) -> None:
        """Keep the tail of what it complains about."""
        self.stderr = (self.stderr + data)[-_TAIL_BYTES:]
        self.news.set()

    def input_lost(self) -> None:
        """It takes nothing any more; why is known a little later, when its output ends too."""
        self.valve.unshut()
        asyncio.get_running_loop().call_later(_OTHER_HALF_S, lambda: self.valve.note(Sign.LOST, self.death()))

    def finish(self) -> None:
        """Its output ended."""
        self.valve.note(Sign.LOST, self.death())
        self.inbox.end()
        self.news.set()

    def death(self) -> LinkError:
        """The error that says how it ended."""
        code = self.returncode
        how = (
            "ended"
            if code is None
            else f"was killed by signal {-code}"
            if code < 0
            else f"ended with status {code}"
        )
        tail = self.stderr.decode(errors="replace").strip().splitlines()
        said = f"; it said: {' | '.join(tail[-3:])}" if tail else ""
        return LinkError(f"the process {how}{said}", link=self.name)

    @property
    def room(self) -> bool:
        """Whether it runs and takes bytes at once."""
        return self.valve.open and self._transport is not None and not self._stopped

    def put(self, data: bytes) -> None:
        """Hand all bytes to the child at once; only while there is `room`."""
        assert self._input is not None, "put without room"
        self._input.write(data)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand all bytes to the child.

        Raises:
            LinkError: it is gone, or takes nothing.
        """
        self.valve.check()
        pipe = self._input
        if pipe is None or self._stopped:
            raise LinkError("the process does not run", link=self.name, cure="Open the link first")
        if isinstance(data, bytes) and len(data) <= _SLICE_BYTES:
            pipe.write(data)
            await self.valve.passable()
            return
        view = memoryview(data)
        for at in range(0, len(view), _SLICE_BYTES):
            pipe.write(bytes(view[at : at + _SLICE_BYTES]))  # a copy: the caller may reuse its buffer
            await self.valve.passable()

    async def stop(self) -> None:
        """End it: close its input, then terminate, then kill; each step gets the grace time."""
        transport, protocol = self._transport, self._protocol
        self.valve.note(Sign.LOST)
        self.inbox.end()
        if transport is None or protocol is None or self._stopped:
            return
        # The transport is kept: it knows the exit status, which the error that ends the conversation tells.
        self._stopped = True
        self._close_output()
        pipe = transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.close()
        try:
            for harsher in (signal.SIGTERM, signal.SIGKILL, None):
                try:
                    async with asyncio.timeout(self._grace_s):
                        await asyncio.shield(protocol.exited)
                    break
                except TimeoutError:
                    if harsher is not None:
                        with contextlib.suppress(ProcessLookupError):  # it ended in between
                            transport.send_signal(harsher)
        finally:
            transport.close()  # kills what a cancelled stop leaves behind

    def _read(self) -> None:
        """Its output can be read."""
        try:
            data = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self.inbox.put(data)
        else:
            self._close_output()
            if self._protocol is not None:
                self._protocol.half_ended()

    def _close_output(self) -> None:
        if self._output >= 0:
            asyncio.get_running_loop().remove_reader(self._output)
            os.close(self._output)
            self._output = -1

    def _pause(self) -> None:
        if self._output >= 0:
            asyncio.get_running_loop().remove_reader(self._output)

    def _resume(self) -> None:
        if self._output >= 0:
            asyncio.get_running_loop().add_reader(self._output, self._read)


class ChildLink:
    """A link whose line is a program's standard input and output: all of it but `open` and `close`."""

    def __init__(self, name: str, *, grace_s: float, stall_s: float) -> None:
        """Nothing is started yet.

        Args:
            grace_s, stall_s: see `ChildStream`; ``stall_s`` is the longest that a write waits.
        """
        self._name = name
        self._grace_s = grace_s
        self._stall_s = stall_s
        self._child = self._fresh()

    def _fresh(self) -> ChildStream:
        """A stream for the next start; each is good for one."""
        return ChildStream(self._name, grace_s=self._grace_s, stall_s=self._stall_s)

    @property
    def name(self) -> str:
        """For errors, e.g. ``ssh://user@host:port``."""
        return self._name

    @property
    def health(self) -> Health:
        """State of the stream."""
        return self._child.valve.health

    async def read(self) -> bytes:
        """What the program wrote; ``b""`` once it is gone."""
        return await self._child.inbox.take()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes to its input.

        Raises:
            LinkError: it is gone, or takes nothing.
        """
        await self._child.write(data)

    @property
    def room(self) -> bool:
        """Whether `put` may be called; see `drivers.links.stream.PromptLink`."""
        return self._child.room

    def put(self, data: bytes) -> None:
        """Hand bytes on without waiting."""
        self._child.put(data)

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Have what arrives handed over at once."""
        self._child.inbox.listen(take)
