from __future__ import annotations

import shutil
import stat

import pytest

from drivers.links.endpoint import SshConfig, resolve
from testbed.errors import LinkError


@pytest.fixture
def fake_ssh(tmp_path, monkeypatch):
    """An ``ssh`` that answers `-G` with what the test wrote, and notes its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat {tmp_path}/answer\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def answer(text):
        (tmp_path / "answer").write_text(text)
        return tmp_path / "arguments"

    return answer


def test_what_is_left_open_comes_from_ssh_config(fake_ssh, tmp_path):
    key = tmp_path / "key"
    key.touch()
    fake_ssh(
        f"host lab\nhostname 10.1.2.3\nport 2222\nuser nvidia\nidentityfile {key}\nidentityfile /missing\n"
        "proxyjump gate,second:2200\n"
    )
    endpoint = resolve(SshConfig(host="lab"))
    assert (endpoint.host, endpoint.port, endpoint.user) == ("10.1.2.3", 2222, "nvidia")
    assert endpoint.identities == (key,)
    assert endpoint.jump == ("gate", "second:2200")


def test_what_the_lab_file_says_goes_first(fake_ssh, tmp_path):
    key = tmp_path / "own"
    key.touch()
    arguments = fake_ssh("hostname 10.1.2.3\nport 2222\nuser nvidia\nproxyjump gate\n")
    config = SshConfig(host="lab", port=22, user="me", identity=str(key), known_hosts=str(key), jump="")
    endpoint = resolve(config)
    assert (endpoint.port, endpoint.user, endpoint.jump) == (22, "me", ())
    assert endpoint.identities == endpoint.known_hosts == (key,)
    assert arguments.read_text().split() == ["-G", "-l", "me", "-p", "22", "--", "lab"]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client is installed here")
def test_a_host_is_never_taken_for_an_option():
    with pytest.raises(LinkError):
        resolve(SshConfig(host="-oProxyCommand=touch x"))


def test_without_openssh_the_file_is_read_by_paramiko(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host lab\n  HostName 10.9.9.9\n  Port 2022\n  User pi\n")
    endpoint = resolve(SshConfig(host="lab"))
    assert (endpoint.host, endpoint.port, endpoint.user) == ("10.9.9.9", 2022, "pi")


def test_name_is_for_errors():
    assert SshConfig(host="h").name == "ssh://h"
    assert SshConfig(host="h", user="u", port=7).name == "ssh://u@h:7"
