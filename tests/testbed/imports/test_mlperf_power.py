from __future__ import annotations

import csv

import pytest

from testbed.errors import ConfigError
from testbed.imports.mlperf_power import import_power, read_accuracy, read_power_run
from testbed.imports.submission import Submission
from testbed.measure.energy import EnergyBook
from testbed.model.origin import Origin
from testbed.store.profile_checks import check_profile, figures, shortcomings
from tests.testbed.imports import synthetic
from tests.testbed.imports.published import EDGE, needs_edge


def test_a_submission_becomes_a_profile_and_traces(tmp_path):
    found = import_power(synthetic.power_submission(tmp_path))
    (profile,) = found.profiles
    check_profile(profile, tmp_path)
    assert shortcomings(profile) == []
    assert (profile.board, profile.model) == ("v9.2-somebody-some-board", "resnet50")
    assert [row.batch for row in profile.service] == [1, 8]
    assert profile.service_at() == 10_000_000
    assert profile.energy_at(1).value == pytest.approx(8.0 * 10 / 1000 * 1e3)
    assert profile.energy_at(8).value == pytest.approx(8.0 * 10 / 8000 * 1e3)
    assert profile.idle_w.value == 3.0
    assert profile.metered.kind == "wall"
    for figure in figures(profile).values():
        assert figure.origin in (Origin.CITED, Origin.DERIVED)
        assert figure.source.startswith("MLPerf Inference v9.2, Somebody, some-board")
    said = profile.provenance
    assert said.run == "v9.2/closed/Somebody/results/some-board/resnet50/SingleStream"
    assert said.meter.startswith("YOKOGAWA WT310E")
    assert said.board == {"system_name": "Some Board"}
    assert len(found.traces) == 3
    kept = found.traces["v9.2/closed/Somebody/results/some-board/resnet50/Offline"]
    energy = EnergyBook(kept.trace).energy(kept.windows[0])
    assert energy.gross_j == pytest.approx(80.0, abs=2 * 8.0)
    assert len(found.notes) == 3
    assert "2 samples of 0 W or less are faults of the meter, 2 of them in the timed window" in found.notes[0]
    assert found.skipped == (
        "v9.2/closed/Somebody/results/some-board/resnet50/Offline: "
        "throughput of unknown batches, no time of a single inference",
    )


def test_findings_about_a_run(tmp_path):
    of = synthetic.power_submission(tmp_path)
    run = of / "results" / "some-board" / "resnet50" / "SingleStream" / "performance" / "run_1"
    synthetic.loadgen_logs(run, counted=False)
    summary = run / "mlperf_log_summary.txt"
    summary.write_text(summary.read_text().replace("VALID", "INVALID"))
    synthetic.spl(run, [(k + 0.5, 3.0 if 10 <= k < 20 else 8.0) for k in range(40) if not 11 <= k < 17], 12.0)
    read = read_power_run(
        run, Submission(suite="MLPerf Inference", version="v1.0", submitter="S", system="B"), "resnet50", "x"
    )
    text = " | ".join(read.notes)
    assert "6.5 s" in text or "7.0 s" in text
    assert "did not call the run VALID" in text
    assert "printed rate times window, 999" in text
    assert "no less than the 3 W at work" in text
    assert read.run.metered.kind == "board"


def test_samples_that_are_no_number_are_reported_wherever_they_lie(tmp_path):
    of = synthetic.power_submission(tmp_path)
    for scenario, watts in (
        ("Offline", [(0.25, float("nan"))]),
        ("MultiStream", [(12.25, float("nan")), (14, -2.0)]),
    ):
        run = of / "results" / "some-board" / "resnet50" / scenario / "performance" / "run_1"
        synthetic.spl(run, [(k + 0.5, 8.0) for k in range(40)] + watts)
    multi, offline, _ = (note for note in import_power(of).notes if "faults" in note)
    assert "Offline: 1 samples that are no finite number are faults of the meter, 0 of them" in offline
    assert (
        "1 samples of 0 W or less and 1 samples that are no finite number are faults of the meter, 2" in multi
    )


@pytest.mark.parametrize(
    ("text", "value", "samples"),
    [
        ("accuracy=76.442%, good=38221, total=50000\n", 0.76442, 50000),
        ("...\nmAP=22.914%\n", 0.22914, 0),
        ('{"exact_match": 83.236, "f1": 90.440}\n', 0.9044, 0),
        ("Accuracy: mean = 0.86170\n", None, 0),
    ],
)
def test_accuracies_of_the_kinds_we_know(tmp_path, text, value, samples):
    (tmp_path / "a.txt").write_text(text)
    assert read_accuracy(tmp_path / "a.txt") == (pytest.approx(value) if value else None, samples)
    assert read_accuracy(tmp_path / "none") == (None, 0)


def test_a_run_under_another_scenarios_name_does_not_replace_the_own_one(tmp_path):
    of = synthetic.power_submission(tmp_path)
    folder = of / "results" / "some-board" / "resnet50"
    synthetic.loadgen_logs(folder / "Offline" / "performance" / "run_1", counted=False)
    synthetic.loadgen_logs(folder / "SingleStream" / "performance" / "run_1")
    (folder / "Offline").rename(folder / "ZOffline")
    found = import_power(of)
    assert found.profiles[0].service[0].n == 1000
    assert "/SingleStream" in found.profiles[0].provenance.run
    assert any("ZOffline: its logs are of SingleStream" in reason for reason in found.skipped)


def test_a_broken_run_is_left_out_and_the_others_stay(tmp_path):
    of = synthetic.power_submission(tmp_path)
    multi = of / "results" / "some-board" / "resnet50" / "MultiStream" / "performance" / "run_1"
    (multi / "spl.txt").write_text("broken\n")
    found = import_power(of)
    assert [row.batch for row in found.profiles[0].service] == [1]
    assert any("line 1 is no sample" in reason for reason in found.skipped)
    with pytest.raises(ConfigError, match="no run with power"):
        import_power(of / "systems")


@needs_edge
def test_the_summary_is_reproduced_from_the_raw_logs():
    with (EDGE / "summary.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["raw"]]
    assert len(rows) == 32
    for row in rows:
        folder = EDGE / row["version"] / row["system"] / row["model"] / row["scenario"]
        of = Submission(
            suite="MLPerf Inference", version=row["version"], submitter=row["submitter"], system=row["system"]
        )
        read = read_power_run(folder / "performance" / "run_1", of, row["model"], row["scenario"])
        run = read.run
        assert run.mean_w == pytest.approx(float(row["mean_w"]), rel=1e-5)
        assert run.n_power == int(row["n_power_samples"])
        assert run.scenario == row["run_scenario"]
        assert (run.after_w is None) == (row["after_run_w"] == "")
        if run.after_w is not None:
            assert run.after_w == pytest.approx(float(row["after_run_w"]), rel=1e-4)
        if run.energy_mj is not None:
            assert run.energy_mj == pytest.approx(float(row["energy_j_per_sample"]) * 1e3, rel=1e-5)
            assert run.ms[run.p.index(0.5)] == pytest.approx(float(row["p50_ms"]), rel=1e-5)
            # Counts that the log lacks are worked out from a rate, which was printed with two decimals.
            off = 0 if row["count_from"] == "log" else 1
            assert abs(run.queries - int(row["query_count"])) <= off
        else:
            assert run.mean_w / read_rate(folder) == pytest.approx(
                float(row["energy_j_per_sample"]), rel=1e-5
            )
        # Trapezoids over the same samples, both edges interpolated, tell the same energy.
        kept = read.trace
        energy = EnergyBook(kept.trace).energy(kept.windows[0])
        assert energy.gross_j == pytest.approx(run.mean_w * run.window_s, rel=1e-3)


def read_rate(folder):
    text = (folder / "performance" / "run_1" / "mlperf_log_summary.txt").read_text()
    return float(text.split("Samples per second:")[1].split()[0])
