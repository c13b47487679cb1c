import threading
import time

from drivers.agent.outlet import Outlet
from testbed.wire import PROTOCOL_VERSION, Role, Session, Tensor
from testbed.wire import messages as m


class Line:
    def __init__(self):
        self.written = []
        self.open = True
        self.free = threading.Event()
        self.free.set()

    def write(self, data):
        assert self.free.wait(20)
        if not self.open:
            raise BrokenPipeError
        self.written.append(data)


def opened(line):
    host = Session(Role.HOST)
    outlet = Outlet(line, max_message_bytes=1 << 24, chunk_bytes=16384)
    host.send(m.Hello(PROTOCOL_VERSION, 1, 1, "", 1 << 24, ""))
    outlet.receive(host.data_to_send())
    outlet.send(m.Welcome(PROTOCOL_VERSION, 1, "", "", {}, 8, 1 << 24))
    return host, outlet


def test_many_threads_lose_nothing():
    line = Line()
    host, outlet = opened(line)

    def work(base):
        for i in range(200):
            (outlet.send if i % 2 else outlet.post)(m.Accepted(base + i, 0))

    threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outlet.flush(2)
    got = host.receive(b"".join(line.written))
    assert sorted(x.action for x in got[1:]) == sorted(1000 * n + i for n in range(4) for i in range(200))


def test_post_never_waits_for_a_slow_line():
    line = Line()
    _, outlet = opened(line)
    line.free.clear()
    before = len(line.written)
    outlet.post(m.Log(20, "x"))
    outlet.post_late(m.ProbeReply, lambda: m.ProbeReply(1, 2, 3))
    assert len(line.written) == before  # both have returned while the line takes nothing
    line.free.set()
    until = time.monotonic() + 10
    while len(line.written) == before and time.monotonic() < until:
        time.sleep(0.01)
    assert len(line.written) > before


def test_a_broken_line_is_noticed_and_stops_writing():
    line = Line()
    _, outlet = opened(line)
    line.open = False
    outlet.send(m.Log(20, "x"))
    assert outlet.broken.is_set()
    assert not outlet.writable


def test_replies_to_a_host_that_has_gone_are_dropped_and_counted():
    outlet = Outlet(Line(), max_message_bytes=1 << 20, chunk_bytes=256)
    outlet.send(m.Log(20, "x"))
    outlet.post_late(m.ProbeReply, lambda: m.ProbeReply(1, 2, 3))
    assert outlet.dropped == 2


def test_another_version_is_answered_without_being_asked_to():
    line = Line()
    outlet = Outlet(line, max_message_bytes=1 << 20, chunk_bytes=256)
    host = Session(Role.HOST)
    host.send(m.Hello(PROTOCOL_VERSION + 1, 1, 1, "", 1 << 24, ""))
    outlet.receive(host.data_to_send())
    until = time.monotonic() + 5
    while not line.written and time.monotonic() < until:
        time.sleep(0.01)
    assert host.receive(b"".join(line.written))[0].code == "version"


def test_large_replies_leave_whole():
    line = Line()
    host, outlet = opened(line)
    big = Tensor("uint8", (1 << 20,), bytes(1 << 20))
    outlet.send(m.Done(1, 1, 2, 3, (0,), (big,), {}))
    assert host.receive(b"".join(line.written))[-1].outputs == (big,)
