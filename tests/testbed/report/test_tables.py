"""A run whose truth is known gives the figures that it should."""

from __future__ import annotations

import msgspec
import pytest

from testbed.model.environment import HostUse
from testbed.model.record import PowerSamples, SampleFault, TrialStatus
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.store.schema import WARMUP, Window
from testbed.store.writer import RunWriter
from tests.testbed.store.synthetic import (
    DRIFT_PPM,
    HOST_BOOT,
    START,
    header,
    requests_of,
    start,
    write_run,
    write_trial,
)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return analyse(read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=400)))


def custom(folder, *, extra=(), status=TrialStatus.OK, count=40, end=True):
    """A run of one policy with additional journal lines."""
    with (
        RunWriter.create(folder, header(("edgesight",), requests=count)) as run,
        run.begin(start("edgesight", "00-edgesight", requests=count)) as trial,
    ):
        write_trial(trial, "edgesight", count)
        for entry in extra:
            trial.write(entry)
        if end:
            trial.end(status)
    return analyse(read_run(folder))


def test_policies_keep_the_experiments_order(analysis):
    assert [row.policy for row in analysis.policies] == ["edgesight", "edge-only", "dc-only"]
    assert [row.requests for row in analysis.policies] == [400, 400, 400]


def test_clocks_are_recovered(analysis):
    rows = {row.board: row for row in analysis.clocks if row.trial == "00-edgesight"}
    for board, row in rows.items():
        assert row.drift_ppm == pytest.approx(DRIFT_PPM[board], abs=25)
        assert row.jumps == 0
    assert rows["jetson"].bound_us < 1_000


def test_a_synthetic_service_time_comes_out_again(analysis):
    (jetson,) = (r for r in analysis.boards if (r.policy, r.board) == ("edge-only", "jetson"))
    assert jetson.service_ms == pytest.approx(4.2, abs=0.1)
    assert jetson.transfer_ms == pytest.approx(0.6, abs=0.05)
    assert jetson.queueing_ms == pytest.approx(1.27, abs=0.4)


def test_offload_and_answers_by_board(analysis):
    by_name = {row.policy: row for row in analysis.policies}
    assert by_name["dc-only"].offload_frac == 1
    assert by_name["edge-only"].offload_frac == 0
    assert by_name["edge-only"].answers == {"jetson": 350, "mcu": 50}
    assert 0.3 < by_name["edgesight"].offload_frac < 0.9


def test_contended_host_weakens_its_boards_and_says_why(tmp_path):
    found = custom(
        tmp_path / "run",
        extra=[HostUse(boot_id=HOST_BOOT, start=0, end=1, cores=2, wait_frac=0.2, steal_frac=0.0)],
    )
    origins = {row.board: row.origin for row in found.boards}
    assert origins == {"host": "measured (contended)", "jetson": "emulated", "mcu": "emulated"}
    assert any("16.7%" in note for note in found.notes)
    assert "boards waited for a core 16.7% of the time, steal 0.0%" in found.trials[0].host_use
    assert "16.7%" in found.trials[0].host_note


def test_readings_that_gave_no_sample_are_told_by_meter_and_kind(tmp_path):
    def block(kind, count):
        return PowerSamples(
            board="jetson",
            boot=-1,
            meter="psu",
            rails=("input",),
            total=("input",),
            t=(),
            power_w=(),
            origin="emulated",
            faults=(SampleFault(kind=kind, first=1, last=2, count=count),),
        )

    found = custom(tmp_path / "run", extra=[block("garbage", 2), block("lost", 1), block("garbage", 3)])
    told = [note for note in found.notes if note.startswith("Meter psu of jetson")]
    assert told == [
        "Meter psu of jetson: 5 readings gave no sample (garbage).",
        "Meter psu of jetson: 1 readings gave no sample (lost).",
    ]


def test_warm_up_is_kept_but_not_analysed(tmp_path):
    wishes = requests_of(40)
    warm = Window(name=WARMUP, start=START, end=wishes[10].arrival)
    found = custom(tmp_path / "run", extra=[warm])
    assert found.policies[0].requests == 30
    assert found.trials[0].records == 40


@pytest.mark.parametrize(
    ("status", "verdict", "counts"),
    [
        (TrialStatus.OK, "ok", True),
        (TrialStatus.LIMIT_MISSED, "missed", True),
        (TrialStatus.LINK_ERROR, "incomplete", False),
    ],
)
def test_verdict_follows_the_trials(tmp_path, status, verdict, counts):
    found = custom(tmp_path / "run", status=status)
    assert found.verdict == verdict
    assert found.trials[0].counts is counts
    assert bool(found.policies[0].reason) is not counts


def test_a_baseline_that_misses_its_target_does_not_spoil_the_verdict(tmp_path):
    run = read_run(write_run(tmp_path / "run", count=100, policies=("edgesight", "edge-only")))
    good, bad = run.trials
    wrong = tuple(msgspec.structs.replace(record, correct=False) for record in bad.records)
    run = msgspec.structs.replace(run, trials=(good, msgspec.structs.replace(bad, records=wrong)))
    found = analyse(run)
    assert {t.verdict for t in found.policies[1].targets} == {"missed"}
    assert found.verdict == "ok"
    turned = msgspec.structs.replace(run.header, policies=("edge-only", "edgesight"))
    assert analyse(msgspec.structs.replace(run, header=turned)).verdict == "missed"


def test_a_killed_run_is_analysed_as_far_as_it_goes(tmp_path):
    found = custom(tmp_path / "run", end=False)
    assert found.verdict == "incomplete"
    assert found.policies[0].p99_ms.value is None
    assert found.policies[0].energy.net_mj is None
    assert any("no footer" in note for note in found.notes)


def test_headline_figures_are_the_experiments_and_the_differences(analysis):
    assert analysis.figures["answer"] == 42.0
    assert "accuracy.edgesight-minus-edge-only" in analysis.figures


def test_the_same_folder_gives_the_same_analysis(tmp_path):
    folder = write_run(tmp_path / "run", count=60)
    assert analyse(read_run(folder)) == analyse(read_run(folder))
