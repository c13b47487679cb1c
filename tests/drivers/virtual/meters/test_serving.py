from __future__ import annotations

import os
import socket
import time

import pytest

from drivers.virtual.meters.serving import PtyServing, TcpServing


def test_a_socket_answers_lines_and_hangs_up_when_muted():
    with TcpServing(lambda line: [line.upper()]) as serving:
        with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as client:
            client.sendall(b"one\ntw")
            client.sendall(b"o\r\n")
            heard = b""
            while heard.count(b"\n") < 2:
                heard += client.recv(100)
            assert heard == b"ONE\nTWO\n"
            serving.mute()
            assert client.recv(100) == b""
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", serving.port), timeout=5)
        serving.mend()
        socket.create_connection(("127.0.0.1", serving.port), timeout=5).close()


def test_a_terminal_says_and_answers_and_is_gone_when_muted(tmp_path):
    with PtyServing(tmp_path / "dir/port", lambda line: [line * 2]) as serving:
        fd = os.open(tmp_path / "dir/port", os.O_RDWR | os.O_NOCTTY)
        serving.say("hello\n")
        os.write(fd, b"ab\n")
        heard = b""
        until = time.monotonic() + 10
        while heard.count(b"\n") < 2:
            assert time.monotonic() < until
            heard += os.read(fd, 100)
        assert sorted(heard.split()) == [b"abab", b"hello"]
        os.close(fd)
        serving.mute()
        assert not (tmp_path / "dir/port").exists()
        serving.mend()
        assert (tmp_path / "dir/port").exists()
