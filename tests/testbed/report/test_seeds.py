from __future__ import annotations

from testbed.report.seeds import METRICS, combine, figures_of, seeds_table, seeds_to_json
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from tests.testbed.store.synthetic import write_run


def test_median_and_range_of_what_could_be_told():
    some = [{"p": {"p50_ms": value, "accuracy": 0.9}} for value in (3.0, None, 1.0, 2.0)]
    found = combine(some)["p"]
    assert (found["p50_ms"].median, found["p50_ms"].low, found["p50_ms"].high, found["p50_ms"].n) == (
        2,
        1,
        3,
        3,
    )
    assert (found["net_mj"].median, found["net_mj"].n) == (None, 0)
    table = seeds_table({"p": found}, [4, 5, 6, 7])
    assert table.title == "Over 4 seeds (4 to 7): median [lowest, highest]"
    assert table.body[0][:4] == ("p", "2.00 [1.00, 3.00]", "-", "90.0 % [90.0 %, 90.0 %]")


def test_figures_are_those_of_the_report_and_the_document_has_both(tmp_path):
    analysis = analyse(read_run(write_run(tmp_path / "run", count=60)))
    figures = figures_of(analysis)
    assert list(figures) == [row.policy for row in analysis.policies]
    assert set(figures[analysis.policies[0].policy]) == set(METRICS)
    combined = combine([figures])
    document = seeds_to_json({3: {"run": "x"}}, combined)
    assert document["seeds"] == [{"seed": 3, "run": "x"}]
    first = document["combined"][analysis.policies[0].policy]["p50_ms"]
    assert first["range"] == [first["median"], first["median"]]
