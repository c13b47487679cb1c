from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import asyncssh
import msgspec
import paramiko
import pytest

from drivers.links.ssh import SshConfig, choose_transport, ssh_link
from drivers.links.ssh_openssh import OpenSshLink, _with_us
from drivers.links.ssh_paramiko import ParamikoLink
from testbed.contracts.link import LinkContract
from testbed.errors import ConfigError, HostKeyError, LinkError
from tests.processes import running

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client is installed here")


@pytest.fixture(params=[pytest.param(OpenSshLink, marks=needs_ssh), ParamikoLink])
def link_kind(request):
    return request.param


class TestSshLink(LinkContract):
    @pytest.fixture
    def link(self, ssh_server, link_kind):
        return link_kind(ssh_server.config(), ["echo-bytes"])

    @pytest.fixture
    def link_to_nowhere(self, link_kind):
        return link_kind(SshConfig(host="127.0.0.1", port=1, user="u"), ["echo-bytes"])

    @pytest.fixture
    def cut(self, ssh_server):
        return ssh_server.cut


async def test_wrong_fingerprint_is_refused_with_the_one_seen(ssh_server, link_kind):
    link = link_kind(ssh_server.config(fingerprint="SHA256:" + "A" * 43), ["echo-bytes"])
    with pytest.raises(HostKeyError) as caught:
        await link.open()
    keys = (ssh_server.host_key, ssh_server.other_key)
    assert caught.value.seen in {key.get_fingerprint() for key in keys}
    assert caught.value.expected == "SHA256:" + "A" * 43


@pytest.mark.parametrize("which", ["host_key", "other_key"])
async def test_any_of_the_servers_keys_may_be_pinned(ssh_server, link_kind, which):
    link = link_kind(
        ssh_server.config(fingerprint=getattr(ssh_server, which).get_fingerprint()), ["echo-bytes"]
    )
    await link.open()
    await link.close()


async def test_unknown_host_is_refused_and_never_added(ssh_server, link_kind, tmp_path):
    empty = tmp_path / "known_hosts"
    empty.touch()
    link = link_kind(ssh_server.config(fingerprint=None, known_hosts=str(empty)), ["echo-bytes"])
    with pytest.raises(HostKeyError, match="neither pinned nor in known_hosts"):
        await link.open()
    assert not empty.read_bytes()


async def test_known_host_is_trusted(ssh_server, link_kind, tmp_path):
    known = tmp_path / "known_hosts"
    public = ssh_server.other_key.export_public_key().decode()
    known.write_text(f"[127.0.0.1]:{ssh_server.port} {public}")
    link = link_kind(ssh_server.config(fingerprint=None, known_hosts=str(known)), ["echo-bytes"])
    await link.open()
    await link.close()


async def test_another_key_than_the_known_is_refused(ssh_server, link_kind, tmp_path):
    known = tmp_path / "known_hosts"
    public = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known.write_text(f"[127.0.0.1]:{ssh_server.port} {public}")
    link = link_kind(ssh_server.config(fingerprint=None, known_hosts=str(known)), ["echo-bytes"])
    with pytest.raises(HostKeyError) as caught:
        await link.open()
    assert caught.value.seen == ssh_server.host_key.get_fingerprint()
    assert "reinstalled" in caught.value.cure


async def test_a_key_nobody_knows_cannot_log_in(ssh_server, link_kind, tmp_path):
    stranger = tmp_path / "id"
    stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    link = link_kind(ssh_server.config(identity=str(stranger)), ["echo-bytes"])
    with pytest.raises(LinkError, match="Permission denied|cannot log in") as caught:
        await link.open()
    assert "authorized_keys" in caught.value.cure


async def test_death_of_the_command_tells_its_last_words(ssh_server, link_kind):
    link = link_kind(ssh_server.config(), [sys.executable, "-c", "import sys; sys.exit('out of memory')"])
    await link.open()
    assert await link.read() == b""
    with pytest.raises(LinkError, match="out of memory"):
        await link.write(b"x")
    await link.close()


async def test_arguments_arrive_as_they_are(ssh_server, link_kind):
    code = "import sys; print(sys.argv[1:])"
    link = link_kind(ssh_server.config(), [sys.executable, "-c", code, "a b", "$HOME;", "'"])
    await link.open()
    assert (await link.read()).decode().strip() == str(["a b", "$HOME;", "'"])
    await link.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
import msgspec
from drivers.links.ssh import SshConfig
from drivers.links.ssh_openssh import OpenSshLink

async def whole():
    link = OpenSshLink(msgspec.json.decode(sys.argv[1], type=SshConfig), ["sleep", "300"])  # deaf to its input's end
    await link.open()
    print(link._child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(whole())
"""


@needs_ssh
@pytest.mark.skipif(not _with_us(), reason="no setpriv of util-linux 2.33 is installed here")
def test_the_client_ends_with_a_killed_coordinator_whatever_the_board_does(ssh_server):
    config = msgspec.json.encode(ssh_server.config()).decode()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, config], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    until = time.monotonic() + 30
    while running(int(done.stdout)):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def path_with_ssh(tmp_path, monkeypatch):
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def path_without_ssh(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("path_with_ssh")
def test_openssh_is_taken_where_it_is_installed():
    assert isinstance(ssh_link(SshConfig(host="h"), ["a"]), OpenSshLink)
    assert choose_transport(SshConfig(host="h", transport="paramiko")) == "paramiko"


@pytest.mark.usefixtures("path_without_ssh")
def test_paramiko_is_taken_everywhere_else():
    assert isinstance(ssh_link(SshConfig(host="h"), ["a"]), ParamikoLink)
    with pytest.raises(ConfigError) as caught:
        choose_transport(SshConfig(host="h", transport="openssh"))
    assert caught.value.cure


class Lossy:
    """A channel whose window is shut once and that takes little at a time, until its transport goes."""

    def __init__(self, end):
        self.end = end
        self.taken = b""
        self.shut = True

    def send(self, data):
        if self.shut:
            self.shut = False
            raise TimeoutError
        if len(self.taken) >= 6:
            if isinstance(self.end, int):
                return self.end
            raise self.end
        self.taken += data[:3]
        return len(data[:3])


@pytest.mark.parametrize("end", [EOFError(), paramiko.SSHException("no key exchange"), 0])
def test_paramiko_waits_for_its_window_and_calls_a_lost_peer_what_it_is(end):
    link = ParamikoLink(SshConfig(host="h"), ["a"])
    link._channel = channel = Lossy(end)
    link._transmit(b"abcdef")
    assert channel.taken == b"abcdef"
    with pytest.raises(ConnectionAbortedError):
        link._transmit(b"g")
