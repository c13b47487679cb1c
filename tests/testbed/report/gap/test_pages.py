"""The gap table in its three forms."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from testbed.report.gap.between import gap
from testbed.report.gap.pages import gap_to_console, gap_to_json, write_gap
from testbed.store.reader import read_run
from testbed.store.schema import Source
from tests.testbed.report.gap.runs import modelled, slower
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return slower(read_run(write_run(tmp_path_factory.mktemp("live") / "run", count=100)))


def text_of(found) -> str:
    out = io.StringIO()
    for part in gap_to_console(found):
        Console(file=out, width=200).print(part)
    return out.getvalue()


def test_the_terminal_says_what_is_circular_and_where_the_profile_is_from(live) -> None:
    text = text_of(gap(live, modelled(live)))
    assert "circular but for queueing and overhead" in text
    assert "profile measured at the start of run scout of 2026-01-01T00:00:00" in text
    assert "edge-only: terms - response = 0 ms; 100.0 % of the pairs" in text
    assert "circular for the host too" not in text
    for term in ("queueing", "transfer", "service", "overhead"):
        assert term in text


def test_a_model_of_the_very_run_says_so(live) -> None:
    same = Source(run=live.header.run, created=live.header.created)
    assert "circular for the host too" in text_of(gap(live, modelled(live, after=same)))


def test_the_document_is_json_and_its_terms_sum(live) -> None:
    document = gap_to_json(gap(live, modelled(live)))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document) == {"schema", "live", "virtual", "profiles_from", "policies", "boards"}
    for policy in document["policies"].values():
        split = policy["split_ms"]
        assert sum(t["difference"] for t in split["terms"].values()) == pytest.approx(
            split["response"]["difference"], abs=1e-9
        )
        assert set(policy["figures"]) == {
            "p50_ms", "p95_ms", "p99_ms", "mean_ms", "offload_frac", "deadline_miss_frac", "accuracy", "net_mj",
        }  # fmt: skip
        low, high = policy["figures"]["mean_ms"]["ci"]
        assert low <= policy["figures"]["mean_ms"]["difference"] <= high
    assert [b["circular"] for b in document["boards"]] == [True, False]


def test_the_page_stands_alone(live, tmp_path) -> None:
    write_gap(gap(live, modelled(live)), tmp_path / "gap.html")
    page = (tmp_path / "gap.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<table>") == 3
    assert "http" not in page
