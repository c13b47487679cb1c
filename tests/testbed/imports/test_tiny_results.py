from __future__ import annotations

import pytest

from testbed.errors import ConfigError
from testbed.imports.tiny_results import read_results
from tests.testbed.imports import synthetic
from tests.testbed.imports.published import TINY, needs_tiny


def test_the_older_runner(tmp_path):
    file = tmp_path / "results.txt"
    file.write_text(synthetic.energy_text([32000.0, 32010.0, 31990.0]))
    read = read_results(file)
    assert [window.number for window in read.energies] == [2, 4, 6]
    assert read.energies[1].energy_uj == 32010.0
    assert read.energies[1].power_uw == pytest.approx(32010.0 / 0.4, abs=0.01)
    assert read.energies[1].each_uj == pytest.approx(800.25)
    assert read.median_uj == 800.0
    assert [rate.inferences for rate in read.rates] == [40, 40, 40]
    assert read.rates[0].runtime_s == 0.4
    assert read.median_per_s == 100.0
    assert read.top1_percent is None


def test_the_newer_runner_in_milliwatts_and_trials(tmp_path):
    folder = synthetic.trials(tmp_path)
    read = read_results(folder / "results.txt")
    assert [window.number for window in read.energies] == [0, 1]
    assert read.energies[0].duration_s == 0.5
    assert read.energies[0].power_uw == pytest.approx(read.energies[0].energy_uj / 0.5, rel=1e-4)
    assert read.median_uj == 50.0


def test_accuracies_in_both_spellings_and_windows_found_too_short(tmp_path):
    file = tmp_path / "results.txt"
    file.write_text("0726.005 ulp-mlperf: Top 1% = 87.0\n0726.005 ulp-mlperf: AUC = 0.988\n")
    assert (read_results(file).top1_percent, read_results(file).auc) == (87.0, 0.988)
    file.write_text("1.0 ulp-mlperf: Top-1: 77.8%\n1.0 ulp-mlperf: AUC: 0.83\n")
    assert (read_results(file).top1_percent, read_results(file).auc) == (77.8, 0.83)
    file.write_text(
        "1.0 ulp-ml: Performance results for window 2:\n1.0 ulp-ml: e-[The run must take at least 10 s]\n"
    )
    assert read_results(file).rates[0].short


def test_every_cut_through_a_file_shows(tmp_path):
    file = tmp_path / "results.txt"
    text = synthetic.energy_text([32000.0, 32010.0, 31990.0])
    file.write_text(text)
    assert read_results(file).torn == ()
    lines = text.splitlines(keepends=True)
    for end in range(1, len(lines)):
        file.write_text("".join(lines[:end]))
        assert read_results(file).torn, f"cut behind line {end}"
    file.write_text(text[:-2])
    assert read_results(file).torn == ("its last line is cut off",)
    file.write_text("1.0 ulp-mlperf: Top-1: 8")
    assert read_results(file).torn == ("its last line is cut off",)


def test_a_window_that_never_closes_is_named(tmp_path):
    file = tmp_path / "results.txt"
    lines = synthetic.rate_lines(3, 40, 0.4)
    assert "Throughput" in lines.pop(8)
    file.write_text("\n".join(lines) + "\n")
    assert read_results(file).torn == ("lines of the throughput windows 4 are missing",)
    file.write_text(
        file.read_text().replace("Inferences :           40", "Inferences : 40").replace("0.400", "-.-")
    )
    assert "windows 2, 4, 6" in read_results(file).torn[0]
    lines = synthetic.trials(tmp_path).joinpath("results.txt").read_text().splitlines()
    assert "Energy/Inf" in lines.pop(6)
    file.write_text("\n".join(lines) + "\n")
    assert read_results(file).torn == ("lines of the energy windows 0 are missing",)


def test_windows_of_a_log_with_every_line_twice_count_once(tmp_path):
    file = tmp_path / "results.txt"
    file.write_text("\n".join(line for line in synthetic.rate_lines(3, 40, 0.4) for _ in range(2)) + "\n")
    read = read_results(file)
    assert [rate.number for rate in read.rates] == [2, 4, 6]
    assert read.torn == ()


def test_a_file_of_something_else_is_refused(tmp_path):
    file = tmp_path / "results.txt"
    file.write_text("hello\n")
    with pytest.raises(ConfigError, match="no line of the MLPerf Tiny runner"):
        read_results(file)
    with pytest.raises(ConfigError, match="cannot read"):
        read_results(tmp_path / "none.txt")


@needs_tiny
def test_every_published_file_is_understood():
    # The streaming task prints true positives and a duty cycle instead.
    files = [file for file in sorted(TINY.rglob("*results.txt")) if "sww" not in file.parts]
    assert len(files) > 700
    for file in files:
        read = read_results(file)
        assert read.energies or read.median_per_s or read.top1_percent is not None or read.rates, file
        for window in read.energies:
            assert window.energy_uj > 0, file
            assert window.power_uw > 0, file
        once = "Next_Generation_Snapdragon_Mobile_Platform_HDK/ad/performance" in str(file)
        assert read.torn == (("1 throughput windows, but not their median",) if once else ()), file
