from __future__ import annotations

import itertools
import time

import pytest

from drivers.meters.serial_csv import SerialCsvMeter, SerialCsvOptions, serial_csv
from drivers.virtual.meters.serial_csv import VirtualCsv
from testbed.contracts.meter import MeterContract
from testbed.errors import MeterError, SampleError


class TestSerialCsv(MeterContract):
    levels = (1.0, 3.0)
    tolerance_w = 0.01
    own_period = 5_000_000

    @pytest.fixture
    def rig(self, tmp_path):
        with VirtualCsv(tmp_path / "port") as rig:
            yield rig

    @pytest.fixture
    def meter(self, rig):
        return SerialCsvMeter(SerialCsvOptions(where=rig.where))


@pytest.fixture
def make(tmp_path):
    rigs = []

    def make_one(**options):
        rig = VirtualCsv(tmp_path / "port", **options).__enter__()
        rigs.append(rig)
        rig.draw(1.0)
        meter = SerialCsvMeter(SerialCsvOptions(where=rig.where))
        meter.start(1)
        return rig, meter

    yield make_one
    for rig in rigs:
        rig.__exit__(None, None, None)


def test_a_header_that_was_missed_is_the_usual_one(make):
    _, meter = make(header=False)
    assert meter.read(time.monotonic_ns)[1] == [pytest.approx(1.0, abs=0.01)]
    meter.stop()


def test_its_clock_may_begin_again_at_two_to_the_32(make):
    _, meter = make(begin_us=(1 << 32) - 80_000)
    stamps = [meter.read(time.monotonic_ns)[0] for _ in range(40)]
    meter.stop()
    assert all(later - earlier < 2_000_000_000 for earlier, later in itertools.pairwise(stamps))


def test_a_restart_is_told_and_stamps_go_on(make):
    rig, meter = make(begin_us=3_000_000_000)
    before, _ = meter.read(time.monotonic_ns)
    rig.restart()
    with pytest.raises(SampleError, match="anew"):
        for _ in range(1000):
            meter.read(time.monotonic_ns)
    after, _ = meter.read(time.monotonic_ns)
    assert before < after <= time.monotonic_ns()
    meter.stop()


def test_a_port_with_something_else_on_it_is_no_meter(tmp_path, monkeypatch):
    monkeypatch.setattr("drivers.meters.serial_csv._SETTLE_SECONDS", 0.2)
    with VirtualCsv(tmp_path / "port") as rig:
        rig.garble()
        with pytest.raises(MeterError, match="no lines like t_us"):
            SerialCsvMeter(SerialCsvOptions(where=rig.where)).start(1)


@pytest.mark.parametrize(
    ("header", "line", "watts"),
    [
        ("t_us,bus_mV,current_mA,power_mW", "7,5000,200,1001", 1.001),  # as reported
        ("t_us,bus_mV,current_mA", "7,5000,200", 1.0),
        ("current_mA, t_us, bus_mV", "200,7,5000", 1.0),
    ],
)
def test_columns_are_told_by_their_names(header, line, watts):
    meter = SerialCsvMeter(SerialCsvOptions(where="serial://x"))
    assert meter._take_header(header)
    assert meter._parse(line) == (7_000, pytest.approx(watts))


@pytest.mark.parametrize(
    "line", ["", "7,5000,200", "7,5000,200,nan", "x,5000,200,1", "-7,5000,200,1", "1e99,1,1,1"]
)
def test_what_is_no_line(line):
    meter = SerialCsvMeter(SerialCsvOptions(where="serial://x"))
    meter._take_header("t_us,bus_mV,current_mA,power_mW")
    with pytest.raises(SampleError) as caught:
        meter._parse(line)
    assert caught.value.kind == SampleError.GARBAGE


def test_the_shunt_says_where_the_range_ends(make_spec):
    made = serial_csv(make_spec("serial-csv", where="serial://x", shunt_mohm=10.0)).instrument
    made._take_header("t_us,bus_mV,current_mA,power_mW")
    made._parse("1,5000,8000,40000")
    with pytest.raises(SampleError) as caught:
        made._parse("1,5000,8192,40960")
    assert caught.value.kind == SampleError.SATURATED
