from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigError
from testbed.imports.loadgen import parse_time
from testbed.imports.power_log import (
    level_after,
    power_trace,
    read_meter,
    read_spl,
    window_power,
)
from testbed.measure.energy import EnergyBook
from tests.testbed.imports import synthetic
from tests.testbed.imports.published import EDGE, needs_edge

BEGIN, END = parse_time("03-04-2025 12:00:10.000"), parse_time("03-04-2025 12:00:20.000")


def log(tmp_path, watts=None, volts=230.0):
    synthetic.spl(tmp_path, synthetic.samples() if watts is None else watts, volts)
    return read_spl(tmp_path / "spl.txt")


def test_the_mean_is_taken_inside_the_window_and_without_faults(tmp_path):
    power = window_power(log(tmp_path), BEGIN, END)
    assert power.mean_w == 8.0
    assert (power.n, power.faults) == (10, 2)
    assert power.gap_s == 1.0


@pytest.mark.parametrize("word", [float("nan"), float("inf"), float("-inf")])
def test_a_sample_that_is_no_finite_number_is_a_fault(tmp_path, word):
    read = log(tmp_path, [*synthetic.samples(), (13.0, word), (33.0, word)])
    power = window_power(read, BEGIN, END)
    assert (power.mean_w, power.n, power.faults) == (8.0, 10, 3)
    assert level_after(read, END) == 3.0
    assert power_trace(read, BEGIN, board="b", rail="r", meter="m").power_w.max() == 8.0
    assert log(tmp_path, volts=word).volts is None


def test_samples_on_the_very_edges_are_outside(tmp_path):
    read = log(tmp_path, [(10.0, 100.0), (12.0, 5.0), (20.0, 100.0)])
    power = window_power(read, BEGIN, END)
    assert (power.mean_w, power.n) == (5.0, 1)
    assert power.gap_s == 8.0
    with pytest.raises(ConfigError, match="no sample"):
        window_power(read, BEGIN, BEGIN + 1)


def test_the_level_after_the_run_waits_four_seconds_and_wants_it_steady(tmp_path):
    assert level_after(log(tmp_path), END) == 3.0
    falling = [(20.5 + k, 8.0 - 0.3 * k) for k in range(15)]
    assert level_after(log(tmp_path, falling), END) is None
    assert level_after(log(tmp_path, [(25.5, 3.0), (26.5, 3.0), (27.5, -2.0)]), END) is None


def test_a_trace_has_no_faults_no_repeated_stamp_and_starts_at_the_window(tmp_path):
    read = log(tmp_path, [(14.0, -2.0), (14.0, -2.0), (11.0, 5.0), (11.0, 5.0), (12.5, 6.0), (13.5, 0.0)])
    trace = power_trace(read, BEGIN, board="b", rail="r", meter="m")
    assert trace.t.tolist() == [1_000_000_000, 2_500_000_000]
    assert trace.power_w.tolist() == [5.0, 6.0]
    assert EnergyBook(trace).gross((1_000_000_000, 2_500_000_000)) == pytest.approx(5.5 * 1.5)


def test_volts_tell_mains_from_a_boards_input(tmp_path):
    assert log(tmp_path).volts == 230.0
    assert log(tmp_path, volts=12.0).volts == 12.0
    assert log(tmp_path, [(1.0, -2.0)]).volts is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no samples"),
        ("Time,03-04-2025 12:00:00.000,Watts,1.0\n", "line 1 is no sample: expected Time"),
        ("Time,12:00,Watts,1.0,Volts,230,Amps,0.1\n", "line 1"),
        ("\nTime,03-04-2025 12:00:00.000,Watts,x,Volts,230,Amps,0.1\n", "line 2"),
        ("a,b,c,d,e,f\n", "expected Time"),
    ],
)
def test_what_is_no_power_log_is_refused_by_its_line(tmp_path, text, says):
    (tmp_path / "spl.txt").write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_spl(tmp_path / "spl.txt")
    with pytest.raises(ConfigError, match="cannot read"):
        read_spl(tmp_path / "none.txt")


def test_the_meter_and_its_uncertainty_come_from_ptdaemons_log(tmp_path):
    of = synthetic.power_submission(tmp_path)
    found = next(of.rglob("ptd_logs.txt"))
    meter, accuracy = read_meter(found)
    assert meter == "YOKOGAWA WT310E"
    assert "above the limit of 1.00 % for 1 samples, 1.08 % at most; unknown for 1 samples" in accuracy
    assert read_meter(tmp_path / "none") == ("", "")


@needs_edge
def test_stalls_of_a_published_meter_are_faults():
    folder = EDGE / "v2.0" / "Xavier_NX_TRT_MaxQ" / "resnet50" / "Offline" / "performance" / "run_1"
    read = read_spl(folder / "spl.txt")
    assert int((read.power_w == -2.0).sum()) == 6
    trace = power_trace(read, 0, board="b", rail="r", meter="m")
    assert trace.power_w.min() > 0
    assert (np.diff(trace.t) > 0).all()
