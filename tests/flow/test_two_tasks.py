"""A mix of two tasks, each with a catalogue of its own, on boards of this host alone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from testbed.campaign import run_experiment
from testbed.campaign.replay import replay
from testbed.errors import ConfigError
from testbed.model.request import Outcome
from testbed.store.reader import read_run
from testbed.zoo.catalog import shipped

CLOTHES, OTHERS = "image-classification/fashion-mnist", "image-classification/other-clothes"
LAB = """
schema = 1
name = "two"
[boards.near]
kind = "local"
site = "edge"
models = ["cnn-tiny", "b-cnn-tiny"]
[boards.far]
kind = "local"
site = "dc"
models = ["resnet8", "b-resnet8"]
"""
CAMPAIGN = f"""
schema = 1
name = "two-tasks"
lab = "lab.toml"
task = "{CLOTHES}"
policies = ["edgesight"]
[tasks."{OTHERS}"]
catalog = "catalogue"
[workload]
requests = 200
deadline_ms = 2000
allow_degraded = true
arrivals = {{ process = "poisson", rate_hz = 100 }}
needs = [{{ min_accuracy = 0.78 }}, {{ task = "{OTHERS}", min_accuracy = 0.88 }}]
[measure]
idle_s = 0.1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign whose second task is the first under other names."""
    copy = tmp_path / "catalogue"
    shutil.copytree(shipped(CLOTHES), copy)
    text = (copy / "catalog.toml").read_text().replace(CLOTHES, OTHERS)
    names = r'"((?:cnn-tiny|cnn-small|resnet8|resnet8-int8|resnet8-ee|resnet8-ee-int8))"'
    (copy / "catalog.toml").write_text(re.sub(names, r'"b-\1"', text))
    (tmp_path / "lab.toml").write_text(LAB)
    (tmp_path / "campaign.toml").write_text(CAMPAIGN)
    return tmp_path


def test_each_request_is_answered_by_models_of_its_own_task(folder: Path) -> None:
    run = read_run(run_experiment(folder, out=folder / "run"))
    [attempt] = run.trials
    assert len(attempt.records) == 200
    tasks = {record.request.task for record in attempt.records}
    assert tasks == {CLOTHES, OTHERS}
    for record in attempt.records:
        assert record.outcome in (Outcome.COMPLETED, Outcome.DEGRADED)
        assert record.correct is not None
        for step in record.steps:
            assert step.model.startswith("b-") == (record.request.task == OTHERS)
    escalated = {r.request.task for r in attempt.records if any(s.board == "far" for s in r.steps)}
    assert OTHERS in escalated, "its target is above what the small network alone reaches"
    live, again = replay(run, attempt, {CLOTHES: None, OTHERS: folder / "catalogue"})
    assert live == again


def test_a_policy_under_two_names_plays_with_the_options_of_each(folder: Path) -> None:
    file = folder / "campaign.toml"
    two = '[policies.serial]\npolicy = "edgesight"\n[policies.both]\npolicy = "edgesight"\n'
    two += 'options = { mode = "speculative" }\n'
    text = (
        file.read_text().replace('policies = ["edgesight"]\n', "").replace("requests = 200", "requests = 40")
    )
    file.write_text(text.replace("[workload]", f"{two}[workload]"))
    run = read_run(run_experiment(folder, out=folder / "run"))
    orders = {}
    for attempt in run.trials:
        live, again = replay(run, attempt, {CLOTHES: None, OTHERS: folder / "catalogue"})
        assert live == again
        orders[attempt.start.policy] = sum(len(record.steps) for record in attempt.records)
    assert set(orders) == {"serial", "both"}
    assert orders["both"] > orders["serial"], "a speculative request has a step in the data centre, too"


def test_a_catalogue_for_another_task_is_refused(folder: Path) -> None:
    text = (folder / "campaign.toml").read_text()
    (folder / "campaign.toml").write_text(text.replace("other-clothes", "no-clothes"))
    with pytest.raises(ConfigError, match="is for task"):
        run_experiment(folder, out=folder / "run")
