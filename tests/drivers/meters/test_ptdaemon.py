from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from drivers.meters.ptdaemon import PtdMeter, PtdOptions, _ranges
from drivers.virtual.meters.ptdaemon import VirtualPtd
from testbed.contracts.meter import MeterContract
from testbed.errors import MeterError, SampleError

QUICK = {"period_ms": 50.0, "settle_s": 0.0, "reach_s": 0.2}


@pytest.fixture
def daemon():
    with VirtualPtd() as daemon:
        yield daemon


class TestPtd(MeterContract):
    levels = (20.0, 35.0)
    tolerance_w = 0.01
    own_period = 50_000_000

    @pytest.fixture
    def rig(self, daemon):
        return daemon

    @pytest.fixture
    def meter(self, rig):
        return PtdMeter(PtdOptions(where=rig.where, volts=300.0, amps=0.25, **QUICK))


def said(daemon, first):
    return [line for line in daemon.heard if line.startswith(first)]


def test_two_passes_ranging_then_testing_with_what_was_seen(daemon):
    daemon.draw(20.7)
    meter = PtdMeter(PtdOptions(where=daemon.where, **QUICK))
    meter.start(1)
    assert said(daemon, "SR") == ["SR,V,Auto", "SR,A,Auto"]
    assert said(daemon, "Go") == ["Go,50,0,testbed_ranging"]
    assert meter.about["stage"] == "ranging"
    meter.read(time.monotonic_ns)
    meter.fix_ranges()
    assert said(daemon, "SR")[2:] == ["SR,V,230", "SR,A,0.1"]
    assert said(daemon, "Go")[1:] == ["Go,50,0,testbed_testing"]
    assert (meter.about["stage"], meter.about["range_a"]) == ("testing", 0.1)
    assert meter.about["uncertainty"] == "Uncertainty,0.0031"
    assert meter.read(time.monotonic_ns)[1] == [20.7]
    meter.fix_ranges()  # once is enough
    daemon.saturate()
    with pytest.raises(SampleError) as caught:
        for _ in range(100):
            meter.read(time.monotonic_ns)
    assert caught.value.kind == SampleError.SATURATED
    meter.stop()
    assert daemon.heard[-3:] == ["Stop", "SR,V,Auto", "SR,A,Auto"]


def test_a_ranging_pass_that_saw_nothing_fixes_nothing(daemon):
    meter = PtdMeter(PtdOptions(where=daemon.where, **QUICK))
    meter.start(1)
    with pytest.raises(MeterError, match="saw no sample") as caught:
        meter.fix_ranges()
    assert caught.value.cure
    meter.stop()


def test_while_the_analyser_settles_there_is_no_sample(daemon):
    meter = PtdMeter(PtdOptions(where=daemon.where, **(QUICK | {"settle_s": 60.0})))
    meter.start(1)
    with pytest.raises(SampleError) as caught:
        meter.read(time.monotonic_ns)
    assert caught.value.kind == SampleError.NO_ANSWER
    meter.stop()


@pytest.mark.parametrize("reads", ["RL,*,*", "RL", "DC-RL"])
def test_every_form_of_the_question_for_samples(reads):
    with VirtualPtd(reads=reads) as daemon:
        daemon.draw(7.0)
        meter = PtdMeter(PtdOptions(where=daemon.where, **QUICK))
        meter.start(1)
        assert meter.read(time.monotonic_ns)[1] == [7.0]
        meter.stop()


def test_what_answers_otherwise_is_no_daemon(daemon, monkeypatch):
    monkeypatch.setattr(daemon, "_answer", lambda _: ["SSH-2.0"])
    daemon._serving._answer = daemon._answer
    with pytest.raises(MeterError, match="no PTDaemon"):
        PtdMeter(PtdOptions(where=daemon.where, **QUICK)).start(1)


def test_a_sample_of_the_real_shape_and_what_is_none():
    meter = PtdMeter(PtdOptions(where="tcp://h:1"))
    real = "Time,06-02-2026 10:36:27.250,Watts,12.310000,Volts,229.800000,Amps,0.061000,PF,0.870000,Mark,x_testing"
    assert meter._sample(real, 10**12)[1] == [12.31]
    assert meter._sample(
        real.replace("27.250", "28.250") + ",Ch1,Watts,12.3,Volts,1,Amps,1,PF,1", 2 * 10**12
    )[1]
    for text in ("", real.replace("12.310000", "-2.000000"), real.replace("12.310000", "nan"), real[:40]):
        with pytest.raises(SampleError) as caught:
            meter._sample(text, 10**12)
        assert caught.value.kind == SampleError.GARBAGE


REAL = Path(__file__).resolve().parents[4] / "shared/data/mlperf-edge"
real_logs = pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data/mlperf-edge here")


@real_logs
def test_samples_of_real_analysers_and_their_stalls():
    counts = Counter()
    for log in sorted(REAL.rglob("spl.txt"))[::4]:
        meter = PtdMeter(PtdOptions(where="tcp://h:1"))
        for number, text in enumerate(log.read_text("ascii", "replace").splitlines()):
            try:
                _, (watts,) = meter._sample(text, 10**12 + number * 10**9)
            except SampleError as error:
                assert ",Watts,-2.000000," in text
                counts[error.kind] += 1
            else:
                assert 0 <= watts < 10_000
                counts["samples"] += 1
    assert counts["samples"] > 1000


@real_logs
def test_what_real_daemons_answered_is_what_the_virtual_one_answers():
    with VirtualPtd() as daemon:
        for file in sorted(REAL.rglob("server.json")):
            for message in json.loads(file.read_text())["ptd_messages"]:
                asked, told = message["cmd"], message["reply"]
                ours = next(iter(daemon._answer(asked)))
                if asked == "Identify":
                    assert "version=" in told
                    assert ours.count(",") == told.count(",")
                elif asked == "RR":
                    assert _ranges(told) != ("", "")
                    assert len(ours.split(",")) == len(told.split(","))
                else:
                    assert ours == told, asked


@pytest.mark.parametrize(
    ("told", "back"),
    [
        ("Ranges,1,-1.0,1,-1.0", ("Auto", "Auto")),
        ("Ranges,0,5.0,0,300.0", ("300.0", "5.0")),
        ("Ranges,-1,2.0,0,-1.0", ("Auto", "Auto")),
        ("Error", ("Auto", "Auto")),
    ],
)
def test_ranges_to_put_back(told, back):
    assert _ranges(told) == back
