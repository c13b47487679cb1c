"""What meters said and what executions take, as cells."""

from __future__ import annotations

import msgspec
import pytest

from testbed.report.energy_tables import meters, work
from testbed.report.tables import analyse
from testbed.report.words import NONE
from testbed.store.reader import read_run
from tests.testbed.store.synthetic import write_run


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return analyse(read_run(write_run(folder, count=400, policies=("edgesight",))))


def test_a_meters_row_shows_idle_before_and_after_and_how_well_it_covers(analysis):
    table = meters(analysis)
    (row,) = table.body
    cells = dict(zip(table.head, row, strict=True))
    assert cells["board"] == "jetson"
    assert cells["used"] == "yes"
    assert cells["idle before W"] == cells["idle after W"]
    assert float(cells["idle before W"]) == 1.5
    assert cells["covered"].startswith("100")


def test_a_meter_without_a_figure_says_why_below(analysis):
    broken = msgspec.structs.replace(analysis.meters[0], reason="nobody looked", net_j=None)
    table = meters(msgspec.structs.replace(analysis, meters=(broken,)))
    assert "jetson ina3221: nobody looked" in table.remarks


def test_an_executions_row_says_how_its_energy_was_had(analysis):
    table = work(analysis)
    rows = {row[1]: dict(zip(table.head, row, strict=True)) for row in table.body}
    assert rows["jetson"]["how"] == "attributed"
    assert rows["host"]["net mJ"] == rows["host"]["± mJ"] == NONE
    assert "host: no power meter" in table.remarks
