import time

from drivers.agent.sampler import Sampler
from testbed.wire import messages as m


class Sink:
    writable = True

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)

    def samples(self):
        return [x for x in self.sent if isinstance(x, m.PowerSamples)]


class Meter:
    rails = ("A", "B")

    def __init__(self, fail_at=()):
        self.reads = 0
        self.fail_at = fail_at

    def read(self, now_ns):
        self.reads += 1
        if self.reads in self.fail_at:
            raise OSError("no answer")
        return now_ns(), [float(self.reads), 0.5]

    def close(self):
        pass


def wait_for(condition, seconds=5):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_rows_come_in_batches_with_stamps_of_the_given_clock():
    sink, meter, ticks = Sink(), Meter(), iter(range(10**6))
    sampler = Sampler("ina", meter, 2_000_000, lambda: next(ticks), sink)
    wait_for(lambda: meter.reads >= 20)
    sampler.stop()
    times = [t for s in sink.samples() for t in s.t]
    assert times == list(range(meter.reads))
    first = sink.samples()[0]
    assert first.rails == ("A", "B")
    assert list(first.power_w[:4]) == [1.0, 0.5, 2.0, 0.5]
    assert sum(s.dropped for s in sink.samples()) == 0


def test_what_cannot_be_read_is_counted_and_told_once():
    sink, meter = Sink(), Meter(fail_at=(2, 3))
    sampler = Sampler("ina", meter, 1_000_000, lambda: 0, sink)
    wait_for(lambda: meter.reads >= 5)
    sampler.stop()
    assert sum(s.dropped for s in sink.samples()) == 2
    assert len([x for x in sink.sent if isinstance(x, m.Log)]) == 1


def test_a_full_line_drops_the_oldest_and_says_so(monkeypatch):
    monkeypatch.setattr("drivers.agent.sampler._MAX_ROWS", 5)
    monkeypatch.setattr("drivers.agent.sampler._BATCH_ROWS", 2)
    sink, meter = Sink(), Meter()
    sink.writable = False
    sampler = Sampler("ina", meter, 1_000_000, lambda: 0, sink)
    wait_for(lambda: meter.reads >= 12)
    sink.writable = True
    sampler.stop()
    assert sum(s.dropped + len(s.t) for s in sink.samples()) == meter.reads
    assert sum(s.dropped for s in sink.samples()) >= 5
