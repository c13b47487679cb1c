"""docs/writing-an-experiment.md: its files are right, and every key of a campaign or lab file stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drivers.boards.composition import CommonOptions
from drivers.virtual.boards import virtual_jetson
from drivers.virtual.network.options import NetworkOptions, WayOptions
from drivers.virtual.relay import RelayOptions
from testbed.campaign.spec import Calibration, Measure, _File, read_campaign
from testbed.coordinator.labfile import BoardTable, _Top, read_lab
from testbed.model.lab import BoardSpec, parse_options
from testbed.model.losses import LossOptions
from testbed.workload.arrivals import Arrivals
from testbed.workload.mix import Need, Workload

PAGE = Path(__file__).parents[2] / "docs" / "writing-an-experiment.md"
TABLES = [
    _File, Workload, Arrivals, Need, Calibration, Measure,
    _Top, BoardTable, CommonOptions, RelayOptions, NetworkOptions, WayOptions, LossOptions,
]  # fmt: skip
LEFT_OUT = {"kind", "buffer_bytes"}
"""A campaign's ``kind`` is for studies of our own; the other is a detail of an emulation."""


def files() -> tuple[str, str]:
    campaign, lab = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return campaign, lab


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_is_documented(table: type) -> None:
    page = PAGE.read_text()
    missing = [name for name in table.__struct_fields__ if not re.search(rf"\b{name}\b", page)]
    assert set(missing) <= LEFT_OUT


def test_the_files_of_the_page_are_right(tmp_path: Path) -> None:
    campaign, lab = files()
    (tmp_path / "campaign.toml").write_text(campaign)
    (tmp_path / "lab.toml").write_text(lab)
    read = read_campaign(tmp_path)
    assert (read.calibration, read.seed, read.blocks) == (Calibration(), 1, 1)
    assert read.measure == Measure()
    boards = read_lab(read.lab).boards
    table, options = boards["edge"]
    spec = BoardSpec(
        id="edge", kind=table.kind, site=table.site, options={**options, "network": {}}, file=read.lab,
        models={}, profiles={}, state=tmp_path,
    )  # fmt: skip
    virtual_jetson(spec)
    network = parse_options(options["network"], NetworkOptions, file=read.lab, key="network")
    assert network.up.loss.mean_frac == 0.05
    parse_options(boards["cloud"][1]["relay"], RelayOptions, file=read.lab, key="relay")
