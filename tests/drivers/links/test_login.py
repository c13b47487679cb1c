from __future__ import annotations

import socket

import asyncssh
import pytest

from drivers.links.endpoint import resolve
from drivers.links.login import hang_up, log_in, verify
from testbed.errors import LinkError


def test_small_packets_leave_at_once(ssh_server):
    transport = log_in(ssh_server.config())
    assert transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    hang_up(transport)
    assert not transport.is_active()


def test_verifying_logs_nobody_in(ssh_server):
    config = ssh_server.config()
    transport = verify(config, resolve(config))
    assert not transport.is_authenticated()
    hang_up(transport)


def test_a_key_with_a_passphrase_says_so(ssh_server, tmp_path):
    locked = tmp_path / "id"
    locked.write_bytes(ssh_server.user_key.export_private_key(passphrase="secret"))
    with pytest.raises(LinkError, match="has a passphrase"):
        log_in(ssh_server.config(identity=str(locked)))


def test_a_missing_key_says_so(ssh_server, tmp_path):
    with pytest.raises(LinkError, match="no key file"):
        log_in(ssh_server.config(identity=str(tmp_path / "nothing")))


def test_another_kind_of_server_is_told_apart(unused_port_server):
    from drivers.links.endpoint import SshConfig

    config = SshConfig(host="127.0.0.1", port=unused_port_server, user="u", connect_timeout_s=2)
    with pytest.raises(LinkError, match="SSH"):
        log_in(config)


@pytest.fixture
def unused_port_server():
    """A server that says something else and closes."""
    import threading

    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        try:
            while True:
                connection, _ = listener.accept()
                connection.sendall(b"220 mail.example ready\r\n")
                connection.close()
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_a_key_nobody_knows_is_refused(ssh_server, tmp_path):
    stranger = tmp_path / "id"
    stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    with pytest.raises(LinkError, match="cannot log in"):
        log_in(ssh_server.config(identity=str(stranger)))
