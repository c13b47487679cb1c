from __future__ import annotations

import pytest

from testbed.errors import ConfigError
from testbed.imports.loadgen import parse_time, read_detail, read_run
from tests.testbed.imports import synthetic


def test_a_run_with_its_quantiles_and_its_window(tmp_path):
    synthetic.loadgen_logs(tmp_path)
    run = read_run(tmp_path)
    assert run.scenario == "SingleStream"
    assert run.valid
    assert run.p == (0.0, 0.5, 0.9, 0.999, 1.0)
    assert run.ms == (9.0, 10.0, 11.0, 20.0, 30.0)
    assert run.mean_ms == 10.1
    assert run.window_s == 10.0
    assert run.begin == parse_time("03-04-2025 12:00:10.000")
    assert run.counted == run.queries == 1000


def test_without_a_count_the_printed_rate_stands_in(tmp_path):
    synthetic.loadgen_logs(tmp_path, counted=False)
    run = read_run(tmp_path)
    assert run.queries is None
    assert run.counted == 999


def test_offline_has_throughput_and_no_time_of_a_query(tmp_path):
    synthetic.loadgen_logs(tmp_path, scenario="Offline")
    run = read_run(tmp_path)
    assert run.per_s == 400.0
    assert run.p == ()
    assert run.mean_ms is None


def test_a_log_cut_to_its_results_is_read_and_broken_lines_are_passed_over(tmp_path):
    synthetic.loadgen_logs(tmp_path)
    (tmp_path / "mlperf_log_detail.txt").rename(tmp_path / "mlperf_log_detail.results_only.txt")
    assert read_run(tmp_path).counted == 1000
    assert "loaded_qsl_set" not in read_detail(tmp_path / "mlperf_log_detail.results_only.txt")


def test_times_are_utc():
    assert parse_time("01-01-1970 00:00:01.500") == 1_500_000_000
    assert parse_time("02-29-2024 00:00:00.001") - parse_time("02-28-2024 23:59:59.999") == 2_000_000
    with pytest.raises(ValueError, match="does not match"):
        parse_time("2024-02-29 00:00:00")


def test_what_is_missing_or_turned_round_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the log"):
        read_run(tmp_path)
    synthetic.loadgen_logs(tmp_path)
    detail = tmp_path / "mlperf_log_detail.txt"
    text = detail.read_text()
    detail.write_text(text.replace("power_begin", "other"))
    with pytest.raises(ConfigError, match="power_begin"):
        read_run(tmp_path)
    detail.write_text(text)
    summary = tmp_path / "mlperf_log_summary.txt"
    whole = summary.read_text()
    summary.write_text(whole.replace("samples_per_query", "other"))
    with pytest.raises(ConfigError, match=r"summary\.txt: no samples_per_query in it"):
        read_run(tmp_path)
    summary.write_text(whole)
    detail.write_text(text.replace("12:00:20", "12:00:05"))
    with pytest.raises(ConfigError, match="not after"):
        read_run(tmp_path)
    detail.write_text("nothing\n")
    with pytest.raises(ConfigError, match="no line of LoadGen"):
        read_run(tmp_path)
