from __future__ import annotations

import csv
import json

import pytest

from testbed.errors import ConfigError
from testbed.imports.mlperf_tiny import import_tiny
from testbed.model.origin import Origin
from testbed.model.profile import Metered
from testbed.store.profile_checks import check_profile, figures, shortcomings
from tests.testbed.imports import synthetic
from tests.testbed.imports.published import TINY, needs_tiny


def test_a_submission_becomes_a_profile_with_a_source_for_every_figure(tmp_path):
    found = import_tiny(synthetic.tiny_submission(tmp_path))
    (profile,) = found.profiles
    check_profile(profile, tmp_path)
    assert shortcomings(profile) == []
    assert (profile.board, profile.model) == ("v9.1-somebody-nucleo-x", "ic")
    assert profile.task == "image-classification/cifar10"
    assert profile.service_at() == 8_000_000
    assert profile.service[0].n == 5 * 1250
    assert profile.accuracy[0].value == 0.875
    assert profile.metered.kind == "chip"
    gross, net = profile.energy_mj
    assert gross.value == pytest.approx(synthetic.BUSY_W * synthetic.MS_EACH, rel=0.01)
    assert gross.origin is Origin.CITED
    assert net.net
    assert net.value == pytest.approx((synthetic.BUSY_W - synthetic.IDLE_W) * synthetic.MS_EACH, rel=0.05)
    assert profile.idle_w.value == pytest.approx(synthetic.IDLE_W, rel=0.01)
    for figure in figures(profile).values():
        assert figure.origin in (Origin.CITED, Origin.DERIVED)
        assert figure.source.startswith(
            "MLPerf Tiny v9.1, Somebody, NUCLEO_X, closed/Somebody/results/NUCLEO_X/ic/"
        )
    said = profile.provenance
    assert said.run == "v9.1/closed/Somebody/results/NUCLEO_X/ic"
    assert said.versions == {"Inference Framework": "one; two"}
    assert set(said.hashes) == {f"{mode}/results.txt" for mode in ("accuracy", "energy", "performance")}
    (kept,) = found.traces.values()
    assert len(kept.windows) == 5
    assert kept.trace.meter == "MLPerf Tiny v9.1, Somebody, NUCLEO_X"
    assert found.notes == found.skipped == ()


def test_gaps_that_draw_more_than_the_work_are_reported_and_give_no_negative_energy(tmp_path):
    found = import_tiny(synthetic.tiny_submission(tmp_path, idle_w=0.09, busy_w=0.06))
    (profile,) = found.profiles
    assert profile.idle_w is None
    assert [row.net for row in profile.energy_mj] == [False]
    assert "mW, more than the 60 mW while it works" in found.notes[0]


def test_energies_that_are_not_those_of_the_trace_are_reported(tmp_path):
    of = synthetic.tiny_submission(tmp_path)
    folder = of / "results" / "NUCLEO_X" / "ic" / "energy"
    text = synthetic.energy_text([40000.0] * 5)
    (folder / "results.txt").write_text(text)
    assert "samples off the trace" in import_tiny(of).notes[0]
    (folder / "results.txt").write_text(synthetic.energy_text([40000.0] * 4))
    assert "4 energies printed, 5 windows in the trace" in import_tiny(of).notes[0]


def test_windows_that_the_runner_found_too_short_are_reported(tmp_path):
    of = synthetic.tiny_submission(tmp_path)
    file = of / "results" / "NUCLEO_X" / "ic" / "energy" / "results.txt"
    fine, short = "Runtime requirements have been met.", "e-[The run must take at least 10 seconds]"
    file.write_text(file.read_text().replace(fine, short, 2))
    found = import_tiny(of)
    said = "; the runner found 2 of 5 windows too short to be valid"
    assert found.notes[0].endswith(f"energy{said}")
    assert found.profiles[0].energy_at().source.endswith(said)
    assert said not in found.profiles[0].service[0].source


def test_half_of_a_results_file_is_reported(tmp_path):
    of = synthetic.tiny_submission(tmp_path)
    file = of / "results" / "NUCLEO_X" / "ic" / "energy" / "results.txt"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-4]))
    found = import_tiny(of)
    assert len(found.profiles) == 1
    (note,) = found.notes
    assert "energy/results.txt is not whole: lines of the throughput windows 10 are missing; " in note
    assert note.endswith("5 throughput windows, but not their median")
    file.write_text("".join(line for line in lines if "Power" not in line))
    found = import_tiny(of)
    assert any(note.endswith("energies without their power; left out") for note in found.notes)
    assert found.profiles[0].energy_mj == ()
    file.write_text("".join(line for line in lines if "nergy" not in line))
    assert any("without a printed energy" in note for note in import_tiny(of).notes)


def test_a_trace_whose_last_window_never_closes_is_reported(tmp_path):
    of = synthetic.tiny_submission(tmp_path)
    file = of / "results" / "NUCLEO_X" / "ic" / "energy" / "trace1-timestamps.json"
    stamps = json.loads(file.read_text())
    file.write_text(json.dumps([*stamps, stamps[-1] + 0.1]))
    (note,) = import_tiny(of).notes
    assert "a window of the trace has a start and no end" in note


def test_what_is_metered_must_be_known_or_said(tmp_path):
    of = synthetic.tiny_submission(tmp_path, system="SOMETHING")
    found = import_tiny(of)
    assert found.profiles[0].energy_mj == ()
    assert found.profiles[0].metered is None
    assert "--metered" in found.notes[0]
    assert len(found.traces) == 1
    said = import_tiny(of, metered=Metered(kind="board", what="all of it"), traces=False)
    assert said.profiles[0].metered.kind == "board"
    assert said.profiles[0].idle_w is None
    assert said.traces == {}


def test_what_lacks_accuracy_throughput_or_single_inferences_is_left_out_with_the_reason(tmp_path):
    of = synthetic.tiny_submission(tmp_path)
    folder = of / "results" / "NUCLEO_X" / "ic"
    text = (folder / "accuracy" / "results.txt").read_text()
    (folder / "accuracy" / "results.txt").write_text("1.0 ulp-mlperf: AUC: 0.99\n")
    (reason,) = import_tiny(of).skipped
    assert "no accuracy printed" in reason
    (folder / "accuracy" / "results.txt").write_text(text)
    (folder / "performance" / "results.txt").unlink()
    assert "no median throughput" in import_tiny(of).skipped[0]
    folder.rename(folder.parent / "sww")
    assert "streaming" in import_tiny(of).skipped[0]
    with pytest.raises(ConfigError, match="no results of MLPerf Tiny"):
        import_tiny(of / "systems")


@needs_tiny
def test_the_whole_data_set_agrees_with_its_summary():
    found = import_tiny(TINY)
    with (TINY / "summary.csv").open(newline="", encoding="utf-8") as file:
        rows = {
            (
                row["version"],
                row["submitter"],
                row["system"].replace(" ", "_"),
                row["benchmark"],
                row["model"],
            ): row
            for row in csv.DictReader(file)
        }
    assert len(found.profiles) > 300
    compared = 0
    for profile in found.profiles:
        check_profile(profile, TINY)
        assert shortcomings(profile) == []
        _, submitter, system = profile.provenance.citation.removeprefix("MLPerf ").split(", ")
        version, path = profile.provenance.run.split("/", 1)
        benchmark, _, model = path.removeprefix(f"{submitter}/results/{system}/").partition("/")
        row = rows[version, submitter, system, benchmark, model]
        assert profile.service_at() / 1e6 == pytest.approx(float(row["latency_ms"]), rel=2e-4, abs=1e-6)
        energy = profile.energy_at()
        if energy is not None:
            assert energy.value * 1e3 == pytest.approx(float(row["energy_uj_per_inference"]), rel=1e-5)
            assert profile.active_w.value * 1e3 == pytest.approx(float(row["mean_active_power_mw"]), rel=1e-4)
            compared += 1
        if profile.idle_w is not None:
            assert profile.idle_w.value * 1e3 == pytest.approx(float(row["idle_power_mw"]), rel=0.01)
            assert profile.energy_at(net=True).value > 0
    assert compared > 80
    more = [note for note in found.notes if "more than" in note]
    assert any("v1.1/STMicroelectronics/results/NUCLEO_L4R5ZI/ic" in note for note in more)
    assert not [note for note in found.notes if "off the trace" in note]
