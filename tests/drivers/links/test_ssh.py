from __future__ import annotations

import pytest

from drivers.links.ssh import SshConfig, choose_transport, ssh_link
from drivers.links.ssh_openssh import OpenSshLink
from drivers.links.ssh_paramiko import ParamikoLink
from testbed.errors import ConfigError


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
