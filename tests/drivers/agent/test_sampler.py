import time

from drivers.agent.sampler import Sampler
from testbed.errors import MeterError, SampleError
from testbed.wire import messages as m


class Sink:
    writable = True

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)

    def samples(self):
        return [x for x in self.sent if isinstance(x, m.PowerSamples)]

    def logs(self):
        return [x for x in self.sent if isinstance(x, m.Log)]

    def faults(self):
        """Kind, count, first and last stamp of each run of faults."""
        found = []
        for s in self.samples():
            spans = zip(s.fault_spans[::2], s.fault_spans[1::2], strict=True)
            found += [(k, n, *span) for k, n, span in zip(s.faults, s.fault_counts, spans, strict=True)]
        return found


class Meter:
    rails = ("A", "B")
    waits = False

    def __init__(self, fail_at=(), error=None):
        self.reads = 0
        self.starts = 0
        self.running = False
        self.fail_at = fail_at
        self.error = error or SampleError(SampleError.GARBAGE, "what?")

    def start(self, period):
        self.starts += 1
        self.running = True

    def read(self, now_ns):
        assert self.running
        self.reads += 1
        if self.reads in self.fail_at:
            now_ns()
            raise self.error
        return now_ns(), [float(self.reads), 0.5]

    def stop(self):
        self.running = False


def wait_for(condition, seconds=20):
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
    assert sink.faults() == []
    assert not meter.running


def test_what_gives_no_sample_is_told_by_kind_and_place_and_once_in_words():
    ticks = iter(range(0, 10**9, 10))
    sink, meter = Sink(), Meter(fail_at=(2, 3, 5))
    sampler = Sampler("ina", meter, 1_000_000, lambda: next(ticks), sink)
    wait_for(lambda: meter.reads >= 7)
    sampler.stop()
    # A failed reading takes two ticks: one of the meter, one for the stamp of the fault.
    assert sink.faults() == [("garbage", 2, 20, 40), ("garbage", 1, 70, 70)]
    assert len(sink.logs()) == 1
    assert "what?" in sink.logs()[0].text
    assert sum(len(s.t) for s in sink.samples()) == meter.reads - 3


def test_a_meter_that_is_lost_is_started_again(monkeypatch):
    monkeypatch.setattr("drivers.agent.sampler._RESTART_NS", 1_000_000)
    sink, meter = Sink(), Meter(fail_at=(3,), error=MeterError("unplugged"))
    sampler = Sampler("ina", meter, 1_000_000, time.monotonic_ns, sink)
    wait_for(lambda: meter.reads >= 6)
    sampler.stop()
    assert meter.starts == 2
    assert [(kind, count) for kind, count, _, _ in sink.faults()] == [("lost", 1)]


def test_a_mistake_of_a_driver_is_told_and_does_not_end_the_sampling(monkeypatch):
    monkeypatch.setattr("drivers.agent.sampler._RESTART_NS", 1_000_000)
    sink, meter = Sink(), Meter(fail_at=(3,), error=KeyError("rail"))
    sampler = Sampler("ina", meter, 1_000_000, time.monotonic_ns, sink)
    wait_for(lambda: meter.reads >= 6)
    sampler.stop()
    assert meter.starts == 2
    assert [(kind, count) for kind, count, _, _ in sink.faults()] == [("lost", 1)]
    (log,) = sink.logs()
    assert "KeyError: 'rail' (a mistake of its driver)" in log.text


def test_a_meter_that_never_starts_is_told_and_asked_again(monkeypatch):
    monkeypatch.setattr("drivers.agent.sampler._RESTART_NS", 1_000_000)
    sink, meter = Sink(), Meter()
    refusals = []

    def refuse(period):
        refusals.append(period)
        raise MeterError("no such thing")

    meter.start = refuse
    sampler = Sampler("ina", meter, 1_000_000, time.monotonic_ns, sink)
    wait_for(lambda: len(refusals) >= 3)
    sampler.stop()
    assert sum(count for kind, count, _, _ in sink.faults() if kind == "lost") == len(refusals)
    assert len(sink.logs()) == 1


def test_a_meter_of_its_own_pace_is_read_without_waiting():
    sink, meter = Sink(), Meter()
    meter.waits = True
    plain = meter.read
    meter.read = lambda now_ns: time.sleep(0.001) or plain(now_ns)
    sampler = Sampler("csv", meter, 3600 * 10**9, time.monotonic_ns, sink)
    wait_for(lambda: meter.reads >= 20)
    sampler.stop()
    assert sum(len(s.t) for s in sink.samples()) == meter.reads


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


def test_a_line_that_stays_full_keeps_no_endless_list_of_faults(monkeypatch):
    monkeypatch.setattr("drivers.agent.sampler._MAX_FAULTS", 2)
    ticks = iter(range(10**9))
    sink, meter = Sink(), Meter(fail_at=range(2, 100, 2))
    sink.writable = False
    sampler = Sampler("ina", meter, 1_000_000, lambda: next(ticks), sink)
    wait_for(lambda: meter.reads >= 12)
    sink.writable = True
    sampler.stop()
    assert len(sink.faults()) <= 2
    assert sum(s.dropped + len(s.t) + sum(s.fault_counts) for s in sink.samples()) == meter.reads
