"""Energy of a policy: known watts come out again, missing ones are named."""

from __future__ import annotations

import msgspec
import pytest

from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.store.schema import IDLE_AFTER, IDLE_BEFORE, LOAD
from testbed.units import to_s
from tests.testbed.store.synthetic import ACTIVE_W, IDLE_W, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=200))


def energy_with(run, **changes):
    trial = msgspec.structs.replace(run.trials[0], **changes)
    return analyse(msgspec.structs.replace(run, trials=(trial, *run.trials[1:]))).policies[0].energy


def test_known_watts_come_out_again(run):
    load = run.trials[0].window(LOAD)
    seconds = to_s(load.end - load.start)
    found = energy_with(run)
    assert found.total_j == pytest.approx(ACTIVE_W * seconds, rel=0.03)
    assert found.idle_j == pytest.approx(IDLE_W * seconds, rel=1e-3)
    assert found.net_mj == pytest.approx((ACTIVE_W - IDLE_W) * seconds / 200 * 1e3, rel=0.05)
    assert found.gross_mj > found.net_mj
    assert 0 < found.sigma_mj < found.net_mj / 10
    assert found.origin == "emulated"
    assert found.reason == ""


def test_scope_names_the_boards_covered_and_those_not(run):
    scope = energy_with(run).scope
    assert scope.startswith("jetson VDD_IN")
    assert "without host (no power meter), mcu (no power meter)" in scope


def test_no_meter_anywhere_names_the_boards(run):
    found = energy_with(run, power=())
    assert (found.net_mj, found.gross_mj) == (None, None)
    assert "host (no power meter), jetson (no power meter), mcu (no power meter)" in found.reason


def test_a_meter_that_nobody_read_is_told_apart_from_none(run):
    boards = tuple(
        msgspec.structs.replace(facts, facts={**facts.facts, "meters": {"ina3221": {"rails": ["VDD_IN"]}}})
        if facts.id == "jetson"
        else facts
        for facts in run.trials[0].boards
    )
    changed = {"power": (), "boards": boards}
    says = "jetson (its power meter gave no samples: meter_period_ms in the lab file asks for them)"
    found = energy_with(run, **changed)
    assert says in found.reason
    assert "host (no power meter)" in found.reason
    trial = msgspec.structs.replace(run.trials[0], **changed)
    policy = analyse(msgspec.structs.replace(run, trials=(trial, *run.trials[1:]))).policies[0]
    assert any(says in target.energy.reason for target in policy.targets)


def test_without_idle_windows_there_is_gross_only(run):
    windows = tuple(w for w in run.trials[0].windows if w.name not in {IDLE_BEFORE, IDLE_AFTER})
    found = energy_with(run, windows=windows)
    assert found.net_mj is None
    assert found.gross_mj is not None
    assert "idle power unknown" in found.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"windows": ()}, "no load window"),
        ({"probes": ()}, "never probed"),
        ({"records": ()}, "no request was answered"),
        ({"end": None}, "does not count"),
    ],
)
def test_what_cannot_be_had_says_why(run, changes, reason):
    found = energy_with(run, **changes)
    assert found.net_mj is None
    assert found.origin == ""
    assert reason in found.reason


def test_the_idle_of_bystanders_is_no_bargain(run):
    found = {row.policy: row.energy for row in analyse(run).policies}["dc-only"]
    assert (found.net_mj, found.gross_mj) == (None, None)
    assert "no board with a meter did any of the work: host (no power meter)" in found.reason


def test_a_meter_that_died_in_the_middle_is_refused(run):
    power = run.trials[0].power
    assert "without a power sample" in energy_with(run, power=power[: len(power) // 2]).reason
