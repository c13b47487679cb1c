"""Two runs: paired where they saw the same requests, flagged where they are not alike."""

from __future__ import annotations

import io
import json

import msgspec
import pytest
from rich.console import Console

from testbed.errors import StoreError
from testbed.report.compare import compare, comparison_to_console, comparison_to_json
from testbed.store.reader import read_run
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return read_run(write_run(folder / "a", count=100)), read_run(write_run(folder / "b", count=100))


def with_header(run, **changes):
    return msgspec.structs.replace(run, header=msgspec.structs.replace(run.header, **changes))


def with_arrivals(run, sha256):
    trials = tuple(
        msgspec.structs.replace(t, start=msgspec.structs.replace(t.start, arrivals_sha256=sha256))
        for t in run.trials
    )
    return msgspec.structs.replace(run, trials=trials)


def test_a_run_equals_its_twin(runs):
    found = compare(*runs)
    assert found.pooling.differing == ()
    assert len(found.rows) == 12
    assert all(row.difference.value in (0, None) for row in found.rows)
    assert all(row.paired for row in found.rows if row.metric != "net_mj")


def test_a_slower_run_is_slower_by_that_much(runs):
    first, second = runs
    slow = msgspec.structs.replace(
        second,
        trials=tuple(
            msgspec.structs.replace(
                t, records=tuple(msgspec.structs.replace(r, ended=r.ended + 5_000_000) for r in t.records)
            )
            for t in second.trials
        ),
    )
    rows = {(r.policy, r.metric): r.difference for r in compare(first, slow).rows}
    assert rows["dc-only", "mean_ms"].value == pytest.approx(5)
    assert rows["dc-only", "p99_ms"].interval == pytest.approx((5, 5))
    assert rows["dc-only", "accuracy"].value == 0


def test_other_arrivals_are_flagged_and_not_paired(runs):
    first, second = runs
    found = compare(first, with_arrivals(second, "0" * 64))
    assert [(c.what, c.comparing) for c in found.pooling.differing] == [("workload", True)]
    mean = next(r for r in found.rows if r.metric == "mean_ms")
    assert not mean.paired
    assert mean.difference.low < 0 < mean.difference.high


@pytest.mark.parametrize(
    ("changes", "what", "comparing"),
    [
        ({"models": {"cnn-tiny": "9" * 64}}, "models", True),
        ({"lab_sha256": "9" * 64}, "lab file", True),
        ({"host": {"cpu": "Other", "cores": 64}}, "processor", True),
        ({"versions": {"python": "3.13.0"}}, "versions", False),
        ({"git_commit": "0" * 40}, "source", False),
    ],
)
def test_what_should_agree_is_checked(runs, changes, what, comparing):
    first, second = runs
    found = compare(first, with_header(second, **changes))
    assert [(c.what, c.comparing) for c in found.pooling.differing] == [(what, comparing)]


def test_what_does_not_compare_is_refused(runs):
    first, second = runs
    with pytest.raises(StoreError, match="schema"):
        compare(first, with_header(second, schema=2))
    with pytest.raises(StoreError, match="in common"):
        compare(first, msgspec.structs.replace(with_header(second, policies=()), trials=()))


def test_a_trial_that_does_not_count_withholds_the_differences(runs):
    first, second = runs
    cut = msgspec.structs.replace(second.trials[0], end=None)
    found = compare(first, msgspec.structs.replace(second, trials=(cut, *second.trials[1:])))
    assert all(r.difference.value is None for r in found.rows if r.policy == "edgesight")
    assert any(r.difference.value is not None for r in found.rows if r.policy == "dc-only")


def test_policies_of_one_run_only_are_named(runs, tmp_path):
    other = read_run(write_run(tmp_path / "c", count=40, policies=("dc-only",)))
    found = compare(runs[0], other)
    assert found.only_first == ("edgesight", "edge-only")
    assert found.only_second == ()


def test_both_renderings(runs):
    first, second = runs
    found = compare(first, with_arrivals(second, "0" * 64))
    document = comparison_to_json(found)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document) == {"schema", "first", "second", "pooling", "disagreements", "differences"}
    out = io.StringIO()
    for renderable in comparison_to_console(found):
        Console(file=out, width=140).print(renderable)
    assert "like with like" in out.getvalue()
    assert "mean_ms" in out.getvalue()
