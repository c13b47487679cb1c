from __future__ import annotations

import hashlib
import sys

import pytest

from drivers.links.deploy import Deployer, push
from testbed.errors import HostKeyError, LinkError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "agent.pyz"
    path.write_bytes(bytes(range(256)) * 1000)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_uploads_once_and_only_what_differs(ssh_server, file, tmp_path):
    path, digest = file
    remote = tmp_path / "board" / "cache" / "agent.pyz"
    assert push(ssh_server.config(), path, str(remote), digest, mode=0o700)
    assert remote.read_bytes() == path.read_bytes()
    assert remote.stat().st_mode & 0o777 == 0o700
    assert remote.parent.stat().st_mode & 0o777 == 0o700
    assert not push(ssh_server.config(), path, str(remote), digest)
    remote.write_bytes(b"damaged")
    assert push(ssh_server.config(), path, str(remote), digest)
    assert [p.name for p in remote.parent.iterdir()] == ["agent.pyz"]


def test_a_file_with_another_hash_is_not_sent(ssh_server, file, tmp_path):
    path, _ = file
    remote = tmp_path / "remote"
    with pytest.raises(LinkError, match="does not hash"):
        push(ssh_server.config(), path, str(remote), "0" * 64)
    assert not remote.exists()


def test_a_place_that_cannot_be_written_is_a_link_error(ssh_server, file):
    path, digest = file
    with pytest.raises(LinkError, match="on the board failed") as caught:
        push(ssh_server.config(), path, "/proc/nowhere/agent.pyz", digest)
    assert caught.value.__cause__ is not None


def test_wrong_host_key_sends_nothing(ssh_server, file, tmp_path):
    path, digest = file
    with pytest.raises(HostKeyError):
        push(ssh_server.config(fingerprint="SHA256:" + "B" * 43), path, str(tmp_path / "r"), digest)


def test_hash_is_read_back_where_the_board_has_no_tool_for_it(ssh_server, file, monkeypatch):
    path, digest = file
    with Deployer(ssh_server.config()) as deployer:
        monkeypatch.setattr(deployer, "run", lambda argv: Deployer.run(deployer, ["no-such-tool", *argv]))
        assert deployer.hash_of(str(path)) == digest
        assert deployer.hash_of(str(path) + ".missing") is None


def test_commands_give_status_and_both_outputs(ssh_server):
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    with Deployer(ssh_server.config()) as deployer:
        done = deployer.run([sys.executable, "-c", code])
    assert (done.status, done.out.strip(), done.err.strip()) == (3, "out", "err")


def test_a_command_that_does_not_end_is_given_up(ssh_server):
    with Deployer(ssh_server.config()) as deployer, pytest.raises(LinkError, match="did not end"):
        deployer.run(["sleep", "5"], limit_s=0.3)
