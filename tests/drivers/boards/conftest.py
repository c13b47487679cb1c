from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import struct
import time
from pathlib import Path

import pytest

from testbed.errors import LinkError
from testbed.model.lab import BoardSpec, ModelFiles
from testbed.model.view import Health
from testbed.wire import PROTOCOL_VERSION, Role, Session, Tensor
from testbed.wire import messages as m


def model_files(path, runtime="echo", name="quick", **options):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelFiles(name=name, task="t", paths=(path,), sha256=(digest,), runtime=runtime, options=options)


@pytest.fixture
def make_spec(tmp_path):
    """A board's specification with a quick and a slow echo model."""

    def make(kind="local", models=None, **options):
        file = tmp_path / "weights.bin"
        file.write_bytes(bytes(range(256)) * 700)
        if models is None:
            slow = model_files(file, name="slow", sleep_ns=50_000_000)
            models = {"quick": model_files(file), "slow": slow}
        return BoardSpec(
            id="board",
            kind=kind,
            site="edge",
            options=options,
            file=tmp_path / "lab.toml",
            models=models,
            profiles={},
            state=tmp_path / "state",
            fence=time.time_ns(),
        )

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
