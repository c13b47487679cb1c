from __future__ import annotations

import time

import pytest

from drivers.meters.scpi import ScpiMeter, ScpiOptions, scpi
from drivers.virtual.meters.scpi import IDENTITY, VirtualSupply
from drivers.virtual.meters.serving import PtyServing, TcpServing
from testbed.contracts.meter import MeterContract
from testbed.errors import ConfigError, MeterError, SampleError


class Rig:
    """A supply on a line of its own."""

    def __init__(self, supply, serving):
        self.supply = supply
        self.serving = serving
        self.draw, self.saturate, self.garble = supply.draw, supply.saturate, supply.garble
        self.mute = serving.mute

    def mend(self):
        self.supply.mend()
        self.serving.mend()


@pytest.fixture
def supply():
    return VirtualSupply()


@pytest.fixture
def over_tcp(supply):
    with TcpServing(supply.answer) as serving:
        yield Rig(supply, serving)


class TestOverTcp(MeterContract):
    tolerance_w = 0.01

    @pytest.fixture
    def rig(self, over_tcp):
        return over_tcp

    @pytest.fixture
    def meter(self, rig):
        return ScpiMeter(ScpiOptions(where=rig.serving.where))


class TestOverSerial(MeterContract):
    tolerance_w = 0.01

    @pytest.fixture
    def rig(self, supply, tmp_path):
        with PtyServing(tmp_path / "port", supply.answer) as serving:
            yield Rig(supply, serving)

    @pytest.fixture
    def meter(self, rig):
        rails = {"input": ("MEAS:VOLT?", "MEAS:CURR?")}
        return ScpiMeter(ScpiOptions(where=rig.serving.where, rails=rails))


class TestOverVisa(TestOverTcp):
    @pytest.fixture
    def meter(self, rig):
        return ScpiMeter(ScpiOptions(where=f"TCPIP0::127.0.0.1::{rig.serving.port}::SOCKET"))


def started(rig, **options):
    meter = ScpiMeter(ScpiOptions(where=rig.serving.where, **options))
    meter.start(1)
    return meter


def test_it_says_who_it_is_and_takes_the_setup(over_tcp):
    meter = started(over_tcp, setup=("SENS:POW:RANG 20",))
    assert meter.about["identity"] == IDENTITY
    meter.stop()
    assert over_tcp.supply.heard[:3] == ["*IDN?", "SENS:POW:RANG 20", "SYST:ERR?"]


def test_a_setup_that_is_refused_is_no_meter(over_tcp):
    with pytest.raises(MeterError, match="Undefined header"):
        started(over_tcp, setup=("FUNC:NOT:THERE",))


def test_what_answers_otherwise_is_no_instrument():
    with TcpServing(lambda _: ["220 mail ready"]) as serving, pytest.raises(MeterError, match="no SCPI"):
        ScpiMeter(ScpiOptions(where=serving.where)).start(1)


def test_an_instrument_that_does_not_answer_is_gone_since_its_next_answer_would_be_the_last_one(over_tcp):
    meter = started(over_tcp, timeout_ms=50, rails={"input": ("SOUR:NO:ANSWER?",)})
    with pytest.raises(MeterError, match="no answer") as caught:
        meter.read(time.monotonic_ns)
    assert not isinstance(caught.value, SampleError)
    meter.stop()


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        ("9.9E+37", SampleError.SATURATED),
        ("-9.9E37", SampleError.SATURATED),
        ("9.91E37", SampleError.GARBAGE),
        ("nan", SampleError.GARBAGE),
        ("", SampleError.GARBAGE),
    ],
)
def test_special_numbers_of_scpi(over_tcp, shown, kind):
    meter = started(over_tcp)
    over_tcp.supply._trouble = shown or " "
    with pytest.raises(SampleError) as caught:
        meter.read(time.monotonic_ns)
    assert caught.value.kind == kind
    meter.stop()


def test_a_reading_with_a_unit_is_a_number_and_a_stated_range_ends(over_tcp):
    meter = started(over_tcp, full_scale_w=20.0)
    over_tcp.supply._trouble = "1.25E+01W"
    assert meter.read(time.monotonic_ns)[1] == [12.5]
    over_tcp.supply._trouble = "2.0E+01"
    with pytest.raises(SampleError) as caught:
        meter.read(time.monotonic_ns)
    assert caught.value.kind == SampleError.SATURATED
    meter.stop()


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"total": ["output"]}, "meters.m.total"),
        ({"rails": {"input": ["OUTP ON"]}}, "meters.m.rails.input"),
        ({"rails": {"input": []}}, "meters.m.rails.input"),
        ({"gain_frac": 0.01}, "meters.m.gain_frac"),
        ({"period_ms": 0}, "meters.m.period_ms"),
        ({"wher": "x"}, "meters.m.wher"),
    ],
)
def test_a_wrong_table_names_its_key(make_spec, options, key):
    with pytest.raises(ConfigError) as caught:
        scpi(make_spec("scpi", where="tcp://h:1", **options))
    assert caught.value.key == key


def test_traits_are_the_data_sheets(make_spec):
    table = {"gain_frac": 0.003, "window_ms": 20, "step_w": 0.001, "source": "DMM6500 data sheet, DC current"}
    traits = scpi(make_spec("scpi", where="tcp://h:1", **table)).traits
    assert traits.gain_frac == pytest.approx(0.003 / 3**0.5)
    assert (traits.quantity, traits.window_ns, traits.rail("input").step_w) == ("average", 20_000_000, 0.001)
    assert traits.period_ns == 100_000_000
    assert "DMM6500" in traits.sources["gain_frac"]
