"""The yardstick: framed, CRC-checked echo over OpenSSH with asyncio; and what the pipe itself takes, blocking."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import time
import zlib
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.peers import Login, ssh_argv
from benchmarks.peers.far import HEAD

if TYPE_CHECKING:
    from collections.abc import Callable

FAR_SIDE = shlex.join([sys.executable, "-I", str(Path(__file__).with_name("far.py"))])
_END_S = 5.0


class EchoProtocol(asyncio.SubprocessProtocol):
    """Cuts what comes back into frames and calls ``on_payload`` with each payload whose CRC is right."""

    def __init__(self) -> None:
        self.on_payload: Callable[[bytes], None] = lambda _: None
        self.ended = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Standard output grew."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= HEAD.size:
            size, crc = HEAD.unpack_from(buffer, at)
            stop = at + HEAD.size + size
            if len(buffer) < stop:
                break
            payload = bytes(memoryview(buffer)[at + HEAD.size : stop])
            if zlib.crc32(payload) != crc:
                raise RuntimeError("a frame came back damaged")
            at = stop
            self.on_payload(payload)
        del buffer[:at]

    def process_exited(self) -> None:
        """The client ended."""
        if not self.ended.done():
            self.ended.set_result(None)


class AsyncioEcho:
    """The yardstick."""

    name = "asyncio echo over ssh"

    def __init__(self, login: Login) -> None:
        """Not connected yet."""
        self._login = login

    async def open(self) -> None:
        """Start the client; the first echo shows that it has logged in."""
        loop = asyncio.get_running_loop()
        transport, self._protocol = await loop.subprocess_exec(
            EchoProtocol, *ssh_argv(self._login, FAR_SIDE), stderr=None
        )
        self._transport = transport
        self._pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        async with asyncio.timeout(30):
            await self.block(b"ready", 1)

    async def block(self, payload: bytes, n: int) -> list[int]:
        """One after the other; a round trip ends when the reply is checked."""
        took: list[int] = []
        done = asyncio.get_running_loop().create_future()
        begun = 0

        def ask() -> None:
            nonlocal begun
            begun = time.monotonic_ns()
            self._send(payload)

        def answered(_: bytes) -> None:
            took.append(time.monotonic_ns() - begun)
            if len(took) < n:
                loop.call_soon(ask)
            else:
                done.set_result(None)

        loop = asyncio.get_running_loop()
        self._protocol.on_payload = answered
        ask()
        await done
        return took

    async def pipelined(self, payload: bytes, n: int, window: int) -> int:
        """``n`` round trips with ``window`` under way: the time for all of them [ns]."""
        done = asyncio.get_running_loop().create_future()
        left = deque(range(n))
        answers = 0

        def answered(_: bytes) -> None:
            nonlocal answers
            answers += 1
            if left:
                left.popleft()
                self._send(payload)
            elif answers == n:
                done.set_result(None)

        self._protocol.on_payload = answered
        begun = time.monotonic_ns()
        for _ in range(min(window, n)):
            left.popleft()
            self._send(payload)
        await done
        return time.monotonic_ns() - begun

    async def close(self) -> None:
        """Close its input, and wait for the client to end."""
        self._pipe.close()
        async with asyncio.timeout(_END_S):
            await self._protocol.ended
        self._transport.close()

    def _send(self, payload: bytes) -> None:
        self._pipe.write(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)


class RawPipe:
    """No frames, no check, no event loop: write, then read as many bytes, with ``cat`` on the far side."""

    name = "raw blocking pipe over ssh"

    def __init__(self, login: Login) -> None:
        """Not connected yet."""
        self._login = login

    async def open(self) -> None:
        """Start the client."""
        self._client = subprocess.Popen(  # noqa: ASYNC220 - everything blocks here, on purpose
            ssh_argv(self._login, "exec cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        await self.block(b"ready", 1)

    async def block(self, payload: bytes, n: int) -> list[int]:
        """One after the other."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        into, out = self._client.stdin.fileno(), self._client.stdout.fileno()
        took = []
        for _ in range(n):
            begun = time.monotonic_ns()
            view, missing = memoryview(payload), len(payload)
            while (
                view
            ):  # ssh buffers more than the largest payload, so this cannot lock up with unread replies
                view = view[os.write(into, view) :]
            while missing:
                missing -= len(os.read(out, 1 << 18))
            took.append(time.monotonic_ns() - begun)
        return took

    async def close(self) -> None:
        """End the client."""
        self._client.terminate()
        self._client.wait(_END_S)
