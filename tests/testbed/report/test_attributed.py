"""Energy per policy and target: what the work for these requests took, summing up to the policy's whole."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from testbed.report.json import to_json
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from testbed.store.schema import IDLE_AFTER, IDLE_BEFORE
from tests.testbed.store.synthetic import ACTIVE_W, IDLE_W, board_clock, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One policy, whose board draws power while it executes and at no other time."""
    made = read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=600, policies=("edgesight",)))
    trial = made.trials[0]
    work = [
        (step.started, step.finished)
        for record in trial.records
        for step in record.steps
        if step.board == "jetson"
    ]
    starts, ends = (np.asarray(column) for column in zip(*work, strict=True))
    blocks = []
    for block in trial.power:
        t = np.asarray(block.t)
        # The synthetic board executes several at once: its power follows how many.
        busy = [int(((starts < at) & (ends >= at)).sum()) for at in t]
        watts = tuple(v for n in busy for v in (IDLE_W + (ACTIVE_W - IDLE_W) * n, 0.4))
        blocks.append(msgspec.structs.replace(block, power_w=watts))
    return msgspec.structs.replace(made, trials=(msgspec.structs.replace(trial, power=tuple(blocks)),))


def changed(run, **changes):
    trial = msgspec.structs.replace(run.trials[0], **changes)
    return analyse(msgspec.structs.replace(run, trials=(trial,)))


def test_targets_have_an_energy_and_together_they_are_the_policys(run):
    made = analyse(run)
    policy = made.policies[0]
    assert len(policy.targets) == 4
    for target in policy.targets:
        assert target.energy.how == "attributed"
        assert target.energy.origin == "emulated"
        assert target.energy.scope.startswith("jetson VDD_IN, above idle, attributed")
        assert "without host (no power meter)" in target.energy.scope
        assert 0 < target.energy.sigma_mj < target.energy.net_mj
    together = sum(t.energy.net_mj * t.answered for t in policy.targets)
    # A regression is bound to give the loads' energy back; the meter sees an instant in 100 ms, and says what of it.
    assert policy.energy.how == "integrated"
    assert together == pytest.approx(policy.energy.net_mj * policy.answered, rel=0.05)
    service_s = next(row.mean_ms * row.executions for row in made.work if row.board == "jetson") / 1e3
    sigma = policy.energy.sigma_mj * policy.answered
    assert abs(together - (ACTIVE_W - IDLE_W) * service_s * 1e3) < 3 * sigma


def test_an_execution_has_an_energy_with_its_kind(run):
    by_board = {row.board: row for row in analyse(run).work}
    row = by_board["jetson"]
    assert (row.model, row.exit, row.batch, row.executions, row.how) == ("cnn-tiny", 0, 1, 600, "attributed")
    truth = (ACTIVE_W - IDLE_W) * row.mean_ms
    assert abs(row.net_mj - truth) < 3 * row.sigma_mj
    assert by_board["host"].net_mj is None
    assert by_board["host"].reason == "no power meter"


def test_executions_that_the_meter_resolves_are_integrated(run):
    """The same stretched a hundredfold: 4 ms become 400, and a board that executes one at a time."""
    trial = run.trials[0]
    load = trial.windows[1]
    record = trial.records[0]
    records = []
    for place in range(8):
        begin = load.start + place * 900_000_000
        step = msgspec.structs.replace(
            record.steps[0],
            id=(place, 0),
            received=board_clock("jetson", begin),
            started=board_clock("jetson", begin),
            finished=board_clock("jetson", begin + 700_000_000),
        )
        request = msgspec.structs.replace(record.request, id=place)
        records.append(msgspec.structs.replace(record, request=request, steps=(step,), used=(step.id,)))
    blocks = []
    for block in trial.power:
        busy = [any(s.steps[0].started < t <= s.steps[0].finished for s in records) for t in block.t]
        watts = tuple(v for b in busy for v in (ACTIVE_W if b else IDLE_W, 0.4))
        blocks.append(msgspec.structs.replace(block, power_w=watts))
    (row,) = changed(run, records=tuple(records), power=tuple(blocks)).work
    assert row.how == "integrated"
    assert row.net_mj == pytest.approx((ACTIVE_W - IDLE_W) * 700, rel=0.15)
    assert row.sigma_mj > 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"power": ()}, "no board with a meter did any of the work"),
        ({"windows": ()}, "no load window"),
        ({"end": None}, "does not count"),
    ],
)
def test_what_cannot_be_had_says_why(run, changes, reason):
    for target in changed(run, **changes).policies[0].targets:
        assert target.energy.net_mj is None
        assert reason in target.energy.reason


def test_without_idle_power_nothing_is_attributed(run):
    windows = tuple(w for w in run.trials[0].windows if w.name not in {IDLE_BEFORE, IDLE_AFTER})
    target = changed(run, windows=windows).policies[0].targets[0]
    assert "idle power unknown" in target.energy.reason


def test_the_document_has_it_per_target(run):
    made = to_json(analyse(run))
    for target in made["policies"]["edgesight"]["targets"]:
        energy = target["energy_mj_per_request"]
        assert energy["how"] == "attributed"
        assert energy["value"] > energy["sigma"] > 0
    assert {row["how"] for row in made["executions"]} == {"attributed", ""}
