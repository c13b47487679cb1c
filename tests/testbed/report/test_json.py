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
    assert set(made) == {"schema", "run", "policies", "figures"}
    assert (made["schema"], made["run"]) == (1, str(folder))
    for policy in made["policies"].values():
        assert set(policy) == {"requests", "outcomes", "p99_ms", "energy_mj_per_request", "targets"}
        assert set(policy["p99_ms"]) == {"value", "ci", "reason"}
        assert set(policy["energy_mj_per_request"]) == {"value", "sigma", "origin", "scope", "reason"}
        for target in policy["targets"]:
            assert set(target) == {
                "target", "requests", "accuracy", "accuracy_ci", "offload_frac", "response_ms", "deadline_miss_frac",
            }  # fmt: skip
            assert set(target["response_ms"]) == {"p50", "p95"}
            low, high = target["accuracy_ci"]
            assert low <= target["accuracy"] <= high


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
