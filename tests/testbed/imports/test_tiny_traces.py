from __future__ import annotations

import json

import numpy as np
import pytest

from testbed.errors import ConfigError
from testbed.imports.tiny_results import read_results
from testbed.imports.tiny_traces import (
    find_cut,
    gap_level_w,
    gap_median_w,
    power_trace,
    read_trace1,
    read_trace2,
)
from testbed.measure.energy import EnergyBook
from testbed.model.origin import Origin
from tests.testbed.imports import synthetic
from tests.testbed.imports.published import TINY, needs_tiny

TRACES = sorted([*TINY.rglob("trace1-energy.bin"), *TINY.rglob("results.json")])


def both(folder, shift_s=0.0):
    """A trace of format 1 and its printed energies, the sums of the true samples."""
    microjoules = synthetic.energy()
    synthetic.write_trace1(folder, microjoules, synthetic.spans(), shift_s)
    sums = [float(microjoules[a:b].astype(np.float64).sum()) for a, b in synthetic.spans()]
    (folder / "results.txt").write_text(synthetic.energy_text(sums))
    trace = read_trace1(folder / "trace1-energy.bin", folder / "trace1-timestamps.json")
    return trace, read_results(folder / "results.txt").energies


@pytest.mark.parametrize("shift_s", [-0.001, 0.0, 0.001])
def test_the_cut_is_found_although_stamps_are_off_by_a_sample(tmp_path, shift_s):
    trace, printed = both(tmp_path, shift_s)
    for k, (first, end) in enumerate(synthetic.spans()):
        cut = find_cut(trace, k, printed[k])
        assert (cut.first, cut.end) == (first, end)
        assert cut.samples_off < 1e-3  # printed with three digits
    # Two samples out is further than rounding goes, and shows.
    moved, printed = both(tmp_path / "far", shift_s=0.05)
    assert find_cut(moved, 0, printed[0]).samples_off > 2


def test_format_2_is_cut_by_index(tmp_path):
    folder = synthetic.trials(tmp_path)
    traces = read_trace2(folder / "results.json")
    printed = read_results(folder / "results.txt").energies
    assert [trace.span(0) for trace in traces] == [(200, 700)] * 2
    for trace, window in zip(traces, printed, strict=True):
        assert find_cut(trace, 0, window).samples_off < 1e-3
    assert gap_level_w(traces) is None  # it never holds still


def test_power_integrates_to_the_energy_within_two_samples(tmp_path):
    trace, printed = both(tmp_path)
    power = power_trace(trace, board="b", rail="r", meter="m")
    book = EnergyBook(power)
    assert power.origin is Origin.CITED
    for k, (start, end) in enumerate(trace.windows):
        joules = book.gross((round(start * 1e9), round(end * 1e9)))
        sample = printed[k].energy_uj * 1e-6 / synthetic.LONG
        assert abs(joules - printed[k].energy_uj * 1e-6) < 2 * sample
    assert power.power_w.mean() == pytest.approx(synthetic.energy().mean() * 1e-6 * synthetic.RATE)


def test_the_level_between_windows_is_the_idle_one_and_only_if_it_holds_still(tmp_path):
    trace, _ = both(tmp_path)
    assert gap_level_w([trace]) == pytest.approx(synthetic.IDLE_W, rel=0.01)
    assert gap_median_w([trace]) == pytest.approx(synthetic.IDLE_W, rel=0.01)
    trace.energy_j[::40] = 0
    trace.energy_j[1 :: 2 * synthetic.RATE // 50] *= 30
    assert gap_level_w([trace]) is None
    assert gap_median_w([trace]) is not None


@pytest.mark.parametrize(
    ("binary", "stamps", "says"),
    [
        (b"\xf0" + b"\0" * 8, "[0, 0, 1]", "0xF1"),
        (b"\xf1\0\0\x7a\x44" + b"\0" * 7, "[0, 0, 1]", "whole samples"),
        (b"\xf1\0\0\x7a\x44" + b"\0" * 8, "[0]", "a start and an end"),
        (b"\xf1\0\0\x7a\x44" + b"\0" * 8, "[0, 0.0, 9.0]", "inside the trace"),
        (b"\xf1\0\0\x7a\x44" + b"\0" * 8, "[0, ", "not readable"),
    ],
)
def test_what_is_no_trace_of_format_1_is_refused(tmp_path, binary, stamps, says):
    (tmp_path / "t.bin").write_bytes(binary)
    (tmp_path / "t.json").write_text(stamps)
    with pytest.raises(ConfigError, match=says):
        read_trace1(tmp_path / "t.bin", tmp_path / "t.json")


def test_a_start_without_an_end_is_no_window(tmp_path):
    trace, _ = both(tmp_path)
    stamps = json.loads((tmp_path / "trace1-timestamps.json").read_text())
    (tmp_path / "trace1-timestamps.json").write_text(json.dumps(stamps[:-1]))
    cut_short = read_trace1(tmp_path / "trace1-energy.bin", tmp_path / "trace1-timestamps.json")
    assert cut_short.windows == trace.windows[:-1]


@pytest.mark.parametrize(
    "text", ["{", "{}", '[{"power": {}}]', '[{"power": {"samples": [1], "timestamps": []}}]']
)
def test_what_is_no_trace_of_format_2_is_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ConfigError, match="not the energy trials"):
        read_trace2(tmp_path / "r.json")


@needs_tiny
def test_the_whole_data_set_is_looked_at():
    assert len([file for file in TRACES if file.suffix == ".bin"]) == 39
    assert len([file for file in TRACES if file.suffix == ".json"]) == 5


@needs_tiny
@pytest.mark.parametrize("file", TRACES, ids=lambda file: "/".join(file.relative_to(TINY).parts[:-1]))
def test_every_official_energy_is_reproduced(file):
    """As a sum of samples to the printed digits; as an integral of power within two samples' worth."""
    printed = read_results(file.parent / "results.txt").energies
    traces = (
        [read_trace1(file, file.parent / "trace1-timestamps.json")]
        if file.suffix == ".bin"
        else read_trace2(file)
    )
    windows = [(trace, k) for trace in traces for k in range(len(trace.windows))]
    assert len(windows) == len(printed) >= 4
    for (trace, k), window in zip(windows, printed, strict=True):
        cut = find_cut(trace, k, window)
        first, end = trace.span(k)
        assert abs(cut.first - first) <= 1
        assert abs((cut.end - cut.first) - (end - first)) <= 1
        assert cut.residual_j == pytest.approx(0, abs=max(0.6e-9, 1e-7 * window.energy_uj * 1e-6))
        span = tuple(round(stamp * 1e9) for stamp in trace.windows[k])
        sample_j = window.energy_uj * 1e-6 / (cut.end - cut.first)
        energy = EnergyBook(power_trace(trace, board="b", rail="r", meter="m")).energy(span)
        assert abs(energy.gross_j - window.energy_uj * 1e-6) <= 2 * sample_j
        assert energy.origin is Origin.CITED
        assert energy.covered_frac == pytest.approx(1)
        if trace.exact:
            assert energy.gross_j == pytest.approx(window.energy_uj * 1e-6, rel=1e-7)
        # Cut at the samples that were summed, the energies agree to the printed digits.
        own = tuple(round(at / trace.rate_hz * 1e9) for at in (cut.first, cut.end))
        gross = EnergyBook(power_trace(trace, board="b", rail="r", meter="m")).gross(own)
        assert gross == pytest.approx(window.energy_uj * 1e-6, abs=max(1e-9, 1e-6 * energy.gross_j))
