"""A table is what it was given."""

from __future__ import annotations

from testbed.report.table import Table


def test_it_has_one_column_of_names_and_no_remarks_unless_told():
    table = Table(title="t", head=("name", "n"), body=(("a", "1"),))
    assert (table.names, table.remarks) == (1, ())
