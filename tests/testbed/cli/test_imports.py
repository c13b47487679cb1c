from __future__ import annotations

import json

import pytest

from testbed.cli.door import Exit
from testbed.cli.imports import metered_of
from testbed.errors import ConfigError
from testbed.store.profiles import load_profiles
from testbed.store.traces import load_trace
from tests.testbed.cli.conftest import call
from tests.testbed.imports import synthetic


def test_a_tiny_submission_is_imported(tmp_path):
    of, out = synthetic.tiny_submission(tmp_path, system="SOMETHING"), tmp_path / "out"
    done = call("import", "mlperf-tiny", of, "--out", out, "--metered", "chip:core supply", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (file,) = document["profiles"]
    assert document["profiles"][file] == {"board": "v9.1-somebody-something", "model": "ic"}
    profile = load_profiles(out / "v9.1-somebody-something")["ic"]
    assert profile.metered.what == "core supply"
    (trace,) = document["traces"]
    assert len(load_trace(out.parent / trace).windows) == 5


def test_a_power_submission_is_imported_and_what_is_left_out_is_said(tmp_path):
    of, out = synthetic.power_submission(tmp_path), tmp_path / "out"
    done = call("import", "mlperf-power", of, "--out", out, "--no-traces")
    assert done.returncode == 0, done.stderr
    assert "1 profiles and 0 traces" in done.stdout
    assert "left out: v9.2/closed/Somebody" in done.stderr
    assert "faults of the meter" in done.stderr
    assert list(load_profiles(out / "v9.2-somebody-some-board")) == ["resnet50"]


def test_a_folder_without_results_is_a_usage_error(tmp_path):
    done = call("import", "mlperf-tiny", tmp_path, "--json")
    assert done.returncode == Exit.USAGE
    assert "no results of MLPerf Tiny" in json.loads(done.stdout)["error"]["message"]


def test_a_file_that_was_cut_off_is_named_and_an_import_of_nothing_fails(tmp_path):
    of = synthetic.tiny_submission(tmp_path, system="NUCLEO_X")
    stamps = of / "results" / "NUCLEO_X" / "ic" / "energy" / "trace1-timestamps.json"
    stamps.write_text(stamps.read_text()[:20])
    done = call("import", "mlperf-tiny", of, "--out", tmp_path / "out")
    assert done.returncode == Exit.MISSED
    assert "ic: energy/trace1-timestamps.json: not readable" in done.stderr
    done = call("import", "mlperf-tiny", of, "--out", tmp_path / "out", "--json")
    assert done.returncode == Exit.MISSED
    assert json.loads(done.stdout)["profiles"] == {}


def test_what_was_metered_is_a_kind_and_words():
    assert metered_of("") is None
    assert metered_of("wall: the plug").kind == "wall"
    for wrong in ("plug:x", "wall", "wall: "):
        with pytest.raises(ConfigError, match="does not say what was metered"):
            metered_of(wrong)
