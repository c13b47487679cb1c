"""Tables are whole: every row has a cell for every column."""

from __future__ import annotations

import msgspec
import pytest

from testbed.report.layout import detail_tables, main_tables
from testbed.report.tables import analyse
from testbed.store.reader import Damage, read_run
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return analyse(read_run(write_run(tmp_path_factory.mktemp("run") / "run", count=100)))


def test_every_row_has_a_cell_for_every_column(analysis):
    damaged = msgspec.structs.replace(analysis, damage=(Damage(file="f", line=0, reason="r"),))
    tables = (*main_tables(damaged), *detail_tables(damaged))
    assert len(tables) == 10
    for table in tables:
        assert {len(row) for row in table.body} == {len(table.head)}, table.title


def test_empty_tables_are_left_out(analysis):
    assert [t.title for t in main_tables(msgspec.structs.replace(analysis, paces=(), pairs=()))] == [
        "Per policy and accuracy target",
        "Per policy",
    ]


def test_reasons_stand_below_the_table_they_explain(analysis):
    policies = next(t for t in main_tables(analysis) if t.title == "Per policy")
    assert any("368" in remark for remark in policies.remarks)
    assert any("without host (no power meter)" in remark for remark in policies.remarks)
    assert any("instrument only" in remark for remark in policies.remarks)
