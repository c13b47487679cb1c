import asyncio
import socket

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from drivers.virtual.transports.streams import LARGEST, SIZE, Records, control_of, tune
from testbed.wire.sealing import TO_BOARD, TO_HOST, Opener, Sealer

LIMIT_S = 10.0


class Wire(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data):
        self.sent += data

    def close(self):
        self.closed = True


def ends():
    cipher = ChaCha20Poly1305(bytes(32))
    heard: list[bytes] = []
    near = Records(Sealer(cipher, TO_BOARD), Opener(cipher, TO_HOST), heard.append, lambda: None)
    far = Records(Sealer(cipher, TO_HOST), Opener(cipher, TO_BOARD), heard.append, lambda: None)
    wires = Wire(), Wire()
    near.connection_made(wires[0])
    far.connection_made(wires[1])
    return near, far, wires, heard


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_records_arrive_whole_however_they_are_cut(step) -> None:
    near, far, wires, heard = ends()
    for content in (b"one", b"", bytes(5000)):
        near.send(content)
    sent = wires[0].sent
    assert b"one" not in sent
    for at in range(0, len(sent), step):
        far.data_received(sent[at : at + step])
    assert heard == [b"one", b"", bytes(5000)]


def test_what_is_not_genuine_ends_the_connection() -> None:
    near, far, wires, heard = ends()
    near.send(b"one")
    far.data_received(wires[0].sent[:-1] + b"x")
    assert wires[1].closed
    assert not heard


def test_too_large_a_record_ends_the_connection() -> None:
    _, far, wires, _ = ends()
    far.data_received(SIZE.pack(LARGEST + 1))
    assert wires[1].closed


def test_nothing_is_sent_on_a_connection_that_is_gone() -> None:
    near, _, wires, _ = ends()
    near.connection_lost(None)
    near.send(b"one")
    near.close()
    assert wires[0].sent == b""


def test_a_socket_takes_the_congestion_control_asked_for() -> None:
    with socket.socket() as sock:
        tune(sock, "")
        before = control_of(sock)
        assert before
        tune(sock, "reno")
        assert control_of(sock) == "reno"
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with pytest.raises(OSError):
            tune(sock, "none-such")
