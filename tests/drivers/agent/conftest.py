import hashlib
import os
import random
import select
import subprocess
import sys
import time

import pytest

from drivers.agent.bundle import build_agent
from testbed.wire import PROTOCOL_VERSION, Role, Session, State, Tensor
from testbed.wire import messages as m

PICTURE = Tensor("uint8", (1, 3, 224, 224), bytes(range(256)) * 588)


def infer(action, tensor=None, model="echo", items=1, **changes):
    tensor = tensor or Tensor("uint8", (items, 4), bytes(4 * items))
    return m.Infer(action, model, 0, ((),) * items, (), (-1,) * items, tensor)._replace(**changes)


class Host:
    """A host in twenty lines: a child process, a session, and a list of what came back."""

    def __init__(self, command, **popen):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **popen
        )
        self.session = Session(Role.HOST)
        self.inbox = []

    def send(self, *messages):
        for message in messages:
            self.session.send(message)
        while self.session.wants_to_send:
            self.raw(self.session.data_to_send())

    def raw(self, data):
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    def expect(self, kind, timeout=40.0, where=lambda message: True):
        """The next message of a kind; others wait in the inbox."""
        until = time.monotonic() + timeout
        while True:
            for i, message in enumerate(self.inbox):
                if isinstance(message, kind) and where(message):
                    return self.inbox.pop(i)
            left = until - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, left))
            data = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not data:
                self.process.kill()
                pytest.fail(f"no {kind.__name__}; {self.inbox}; {self.process.stderr.read().decode()}")
            self.inbox += self.session.receive(data)

    def nothing(self, kind, seconds=0.2):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            if ready and (data := os.read(self.process.stdout.fileno(), 1 << 16)):
                self.inbox += self.session.receive(data)
            elif ready:
                break
        assert not [x for x in self.inbox if isinstance(x, kind)]

    def taken(self):
        """Wait until everything sent so far was read and acted on."""
        self.send(m.Probe(9))
        self.expect(m.ProbeReply)

    def hello(self, **changes):
        hello = m.Hello(PROTOCOL_VERSION, 1, random.getrandbits(64), "", 16 << 20, "")
        self.send(hello._replace(**changes))

    def greet(self, **changes):
        self.hello(**changes)
        welcome = self.expect(m.Welcome)
        assert self.session.state is State.READY
        return welcome

    def load(self, model="echo", runtime="echo", sha256s=(), instances=1, **options):
        self.send(m.LoadModel(7, model, sha256s, runtime, options, instances))
        loaded = self.expect(m.Loaded)
        assert loaded.ok, loaded.text
        return loaded

    def put(self, data, piece=65536):
        sha256 = hashlib.sha256(data).hexdigest()
        for offset in range(0, len(data), piece):
            self.send(m.PutBlob(sha256, len(data), offset, data[offset : offset + piece]))
        assert self.expect(m.BlobState, where=lambda s: s.have == len(data)).complete
        return sha256

    def close(self):
        self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


@pytest.fixture(scope="session")
def agent_pyz(tmp_path_factory):
    path = tmp_path_factory.mktemp("agent") / "agent.pyz"
    return path, build_agent(path)


@pytest.fixture
def start(agent_pyz, tmp_path):
    hosts = []

    def start_one(*extra, state=None, **popen):
        command = [
            sys.executable,
            str(agent_pyz[0]),
            "--stdio",
            "--state",
            str(state or tmp_path / "state"),
            *extra,
        ]
        hosts.append(Host(command, cwd=tmp_path, **popen))
        return hosts[-1]

    yield start_one
    for host in hosts:
        host.close()
