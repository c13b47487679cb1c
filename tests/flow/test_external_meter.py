"""A meter beside a board, from the lab file to the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.campaign import run_experiment
from testbed.report.tables import analyse
from testbed.store.reader import read_run
from tests.flow.conftest import ROOT, shrink

METER = """
[meters.psu]
kind = "virtual-supply"
feeds = "jetson"
metered = "wall"
gain_frac = 0.01
source = "made up for this test"
[meters.wrong]
kind = "virtual-supply"
feeds = "jetson"
metered = "rail"
efficiency = 0.4
gain_frac = 0.01
source = "says that it shows the rail, and shows two and a half times as much"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The hello experiment on its own lab, with a supply that feeds the virtual Jetson."""
    lab = (ROOT / "experiments/labs/virtual.toml").read_text()
    (tmp_path / "lab.toml").write_text(lab + METER)
    folder = shrink(tmp_path / "exp", 60, policies='["edge-only"]')
    text = (folder / "campaign.toml").read_text()
    shipped = f'lab = "{ROOT / "experiments" / "labs" / "virtual.toml"}"'
    assert shipped in text
    (folder / "campaign.toml").write_text(text.replace(shipped, f'lab = "{tmp_path / "lab.toml"}"'))
    return folder


def test_its_samples_go_to_the_journal_and_its_energy_to_the_report(folder: Path) -> None:
    out = run_experiment(folder, out=folder / "run")
    run = read_run(out)
    [attempt] = run.trials
    blocks = [block for block in attempt.power if block.meter == "psu"]
    assert {(block.board, block.boot, block.origin, block.total) for block in blocks} == {
        ("jetson", -1, "emulated", ("input",))
    }
    assert {block.meter for block in attempt.power} == {"ina3221", "psu", "wrong"}
    (facts,) = [facts for facts in attempt.boards if facts.id == "jetson"]
    assert facts.meters["psu"].metered == "wall"
    assert facts.meters["ina3221"].quantity == "average"
    assert attempt.end is not None
    beside = [("jetson", "psu"), ("jetson", "wrong")]
    assert [(a.board, a.meter) for a in attempt.end.aligned] == beside * 2, "before and after"
    assert all((a.offset is None) == bool(a.reason) for a in attempt.end.aligned)
    assert all(a.error > 0 for a in attempt.end.aligned if a.offset is not None)
    analysis = analyse(run)
    rows = {row.meter: row for row in analysis.meters}
    assert set(rows) == {"ina3221", "psu", "wrong"}
    assert rows["psu"].used, "it covers more than the rail on the board"
    assert rows["psu"].gross_j is not None
    assert rows["ina3221"].gross_j is not None
    # The supply feeds the board through losses of a tenth; the follower lags, so this is no measurement of them.
    assert 1.0 < rows["psu"].gross_j / rows["ina3221"].gross_j < 1.25
    assert rows["psu"].aligned == tuple(a for a in attempt.end.aligned if a.meter == "psu")
    checked = {check.meters: check for check in analysis.crosschecks}
    [against] = [check for meters, check in checked.items() if set(meters) == {"ina3221", "wrong"}]
    assert not against.agree, "both say that they show the rail"
    assert abs(against.difference_j) > 2 * against.sigma_j > 0
    assert any("ina3221" in note and "wrong" in note for note in analysis.notes), analysis.notes
