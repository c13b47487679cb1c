"""EdgeSight with lossy transport, live: thresholds by loss, a board behind a network that loses packets, escalation.

As root every packet is emulated; elsewhere the relay loses the datagrams.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from testbed.campaign.virtual import run_in_virtual_time
from testbed.model.execution import Step
from testbed.model.request import Outcome
from testbed.report.tables import analyse
from testbed.store.reader import Run, read_run
from testbed.store.schema import LOSSES_MODELLED, NOTHING_SENT_AGAIN
from tests.flow.conftest import start

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = 120
BUCKETS = (0.26,)
LAB = """
schema = 1
name = "lossy"
[boards.jetson]
kind = "virtual-jetson"
site = "edge"
models = ["cnn-small"]
profiles = "virtual-jetson"
lossy = { units = 1, packet_bytes = 192, fill = "nearest", wait_ms = 40, most_lost = 0.4, decode = "rows" }
[boards.jetson.network]
up = { delay_ms = 2, LOSS }
down = { delay_ms = 2 }
[boards.host]
kind = "local"
site = "dc"
models = ["resnet8"]
"""
CAMPAIGN = f"""
schema = 1
name = "lossy"
question = "Does a request that lost packets get the thresholds of its loss?"
lab = "lab.toml"
task = "image-classification/fashion-mnist"
policies = ["edgesight"]
seed = 1
[workload]
requests = {REQUESTS}
arrivals = {{ process = "poisson", rate_hz = 12 }}
needs = [{{ min_accuracy = 0.85 }}]
[options.edgesight]
transport = "lossy"
[calibration]
lost_fracs = [{", ".join(map(str, BUCKETS))}]
[measure]
idle_s = 0.0
probes = 4
every_s = 5.0
limit_s = 30.0
warmup = 1
"""
pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def run(module_path: Path) -> Run:
    folder = module_path / "lossy"
    folder.mkdir()
    # A relay refuses a loss that its stream would have to feel; with datagrams beside it, only they lose.
    (folder / "lab.toml").write_text(LAB.replace("LOSS", "loss = { frac = 0.2 }"))
    (folder / "campaign.toml").write_text(CAMPAIGN)
    process = start("run", folder, "--out", module_path / "run", "--json", cwd=module_path)
    out, err = process.communicate(timeout=140)
    assert process.returncode in (0, 1), err  # 1: a target was missed, which so few requests may bring about
    assert json.loads(out)["policies"]["edgesight"]["requests"] == REQUESTS
    return read_run(module_path / "run")


def edge_steps(run: Run) -> list[Step]:
    (attempt,) = run.trials
    return [step for record in attempt.records for step in record.steps if step.board == "jetson"]


def test_every_request_is_answered(run: Run) -> None:
    (attempt,) = run.trials
    assert sorted(record.request.id for record in attempt.records) == list(range(REQUESTS))
    assert {record.outcome for record in attempt.records} <= {Outcome.COMPLETED, Outcome.DEGRADED}


def test_pictures_lost_packets_and_were_answered_all_the_same(run: Run) -> None:
    hurt = [step for step in edge_steps(run) if step.error is None and step.lost_frac > 0]
    assert len(hurt) > REQUESTS / 4
    assert all(step.lost_frac <= 0.4 for step in hurt)


def test_what_lost_more_than_any_threshold_covers_went_to_the_data_centre(run: Run) -> None:
    (attempt,) = run.trials
    beyond = 0
    for record in attempt.records:
        first = record.steps[0]
        if first.board == "jetson" and first.lost_frac > BUCKETS[-1]:
            beyond += 1
            assert any(step.board == "host" for step in record.steps), record
    assert beyond  # of 120 pictures in about seven packets each, at 20 %


def test_without_loss_a_confident_answer_stands(run: Run) -> None:
    (attempt,) = run.trials
    alone = [r for r in attempt.records if len(r.steps) == 1 and r.steps[0].board == "jetson"]
    assert any(record.steps[0].lost_frac == 0 for record in alone)


@pytest.fixture(scope="module")
def virtual(run: Run, module_path: Path) -> Run:
    return read_run(run_in_virtual_time(module_path / "lossy", after=run.folder, out=module_path / "virtual"))


def test_virtual_time_loses_as_much_as_the_bench(run: Run, virtual: Run) -> None:
    live, modelled = (np.array([step.lost_frac for step in edge_steps(one)]) for one in (run, virtual))
    # Seven packets or so a picture, each lost on its own: two samples of the same distribution.
    margin = 4 * np.sqrt(live.var() / live.size + modelled.var() / modelled.size)
    assert modelled.size > REQUESTS / 2
    assert abs(live.mean() - modelled.mean()) < margin


def test_virtual_time_escalates_above_the_limit_as_live(virtual: Run) -> None:
    (attempt,) = virtual.trials
    failed = [s for s in edge_steps(virtual) if s.error is not None]
    assert all(s.lost_frac > 0.4 for s in failed)
    for record in attempt.records:
        if any(step.lost_frac > BUCKETS[-1] for step in record.steps):
            assert record.steps[-1].board == "host", record


def test_virtual_time_says_what_of_losses_is_modelled(run: Run, virtual: Run) -> None:
    for text in (LOSSES_MODELLED, NOTHING_SENT_AGAIN):
        assert text in analyse(virtual).notes
        assert text not in analyse(run).notes
