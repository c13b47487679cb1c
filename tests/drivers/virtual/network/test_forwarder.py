import os
import socket
import threading
import time

from drivers.virtual.network.forwarder import Forwarder, ForwarderConfig
from drivers.virtual.network.options import NetworkOptions, WayOptions
from testbed.model.losses import LossOptions


class Between:
    """A forwarder between two pairs of sockets that keep packets apart, as TUN devices do."""

    def __init__(self, options: NetworkOptions) -> None:
        self.host, host_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.board, board_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._far = (host_far, board_far)
        for end in self._far:
            end.setblocking(False)
        for end in (self.host, self.board):
            end.settimeout(10)
        stop, self._stop = os.pipe()
        self._stopped = stop
        config = ForwarderConfig(options=options, seed="1")
        self.forwarder = Forwarder(config, host_far.fileno(), board_far.fileno())
        self._thread = threading.Thread(target=self.forwarder.run, args=(stop,))

    def __enter__(self) -> "Between":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stop)
        self._thread.join(10)
        os.close(self._stopped)
        for end in (self.host, self.board, *self._far):
            end.close()


def test_packets_arrive_whole_in_order_and_no_sooner_than_asked() -> None:
    options = NetworkOptions(up=WayOptions(delay_ms=30), down=WayOptions(delay_ms=5))
    with Between(options) as net:
        start = time.monotonic()
        for i in range(50):
            net.host.send(bytes([i]) * (i + 1))
        found = [net.board.recv(2048) for _ in range(50)]
        assert time.monotonic() - start >= 0.03
        assert found == [bytes([i]) * (i + 1) for i in range(50)]
        start = time.monotonic()
        net.board.send(b"back")
        assert net.host.recv(2048) == b"back"
        assert time.monotonic() - start >= 0.005
    assert net.forwarder.ways["up"].entered == 50
    assert net.forwarder.ways["down"].entered == 1


def test_what_is_lost_is_counted_and_not_handed_on() -> None:
    options = NetworkOptions(up=WayOptions(loss=LossOptions(frac=0.5)))
    with Between(options) as net:
        for i in range(200):
            net.host.send(i.to_bytes(4, "big"))
        net.board.send(b"done")
        assert net.host.recv(10) == b"done"
        way = net.forwarder.ways["up"]
        found = [int.from_bytes(net.board.recv(10), "big") for _ in range(200 - way.lost)]
    assert way.entered == 200
    assert 60 < way.lost < 140
    assert found == sorted(set(found))
