"""The document has exactly the keys that were promised."""

from __future__ import annotations

import json

import pytest

from testbed.report.json import to_json
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return to_json(analyse(read_run(write_run(folder, count=400)))), folder


def test_keys_are_exactly_those_of_schema_1(document):
    made, folder = document
    assert set(made) == {
        "schema",
        "run",
        "policies",
        "cancelled",
        "meters",
        "executions",
        "crosschecks",
        "figures",
    }
    assert (made["schema"], made["run"]) == (1, str(folder))
    for policy in made["policies"].values():
        assert set(policy) == {"requests", "outcomes", "p99_ms", "energy_mj_per_request", "targets"}
        assert set(policy["p99_ms"]) == {"value", "ci", "reason"}
        assert set(policy["energy_mj_per_request"]) == {"value", "sigma", "origin", "scope", "reason", "how"}
        for target in policy["targets"]:
            assert set(target) == {
                "target", "requests", "accuracy", "accuracy_ci", "offload_frac", "response_ms", "deadline_miss_frac",
                "energy_mj_per_request",
            }  # fmt: skip
            assert set(target["energy_mj_per_request"]) == set(policy["energy_mj_per_request"])
            assert set(target["response_ms"]) == {"p50", "p95"}
            low, high = target["accuracy_ci"]
            assert low <= target["accuracy"] <= high


def test_meters_tell_idle_before_and_after_coverage_and_what_sigma_is_made_of(document):
    made, _ = document
    row = made["meters"][0]
    assert (row["board"], row["meter"], row["used"]) == ("jetson", "ina3221", True)
    assert row["idle_drift_w"] == row["idle_after_w"] - row["idle_before_w"]
    assert {"steps", "sampling", "edges", "time", "gain", "idle"} == set(row["budget"])
    assert 0 < row["gap_frac"] < 0.1 < row["covered_frac"] <= 1
    assert made["crosschecks"] == []


def test_it_is_strict_json(document):
    made, _ = document
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_figures_are_numbers(document):
    made, _ = document
    assert made["figures"]
    assert all(isinstance(value, float | int) for value in made["figures"].values())


def test_what_could_not_be_had_is_null_with_a_reason(tmp_path):
    made = to_json(analyse(read_run(write_run(tmp_path / "run", count=4))))
    p99 = made["policies"]["dc-only"]["p99_ms"]
    assert p99["ci"] is None
    assert p99["reason"]
