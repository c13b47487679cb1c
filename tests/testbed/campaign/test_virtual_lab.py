"""What an earlier run saw of a lab is what its boards are in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import resources
from testbed.campaign.earlier import latest_live_run
from testbed.campaign.virtual_lab import VirtualLab, known_events
from testbed.coordinator.labfile import read_lab
from testbed.errors import ConfigError
from testbed.model.event import BoardUp, NetworkSeen
from testbed.store.reader import read_run
from testbed.units import MS
from tests.testbed.campaign.test_earlier import DATA, write_live


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return write_live(tmp_path / "runs" / "live", "2026-01-01")


def test_of_one_table_every_board_is_as_the_one_that_was_seen(live: Path) -> None:
    lab = read_lab(resources.lab("thousand"))
    known = VirtualLab.seen_by(read_run(live), lab)
    assert len(known.links) == 1000
    seen = read_run(live).header.known
    assert known.profiles.rows["mcu-349", "cnn-tiny"] == seen["mcu"]["cnn-tiny"]
    assert ("mcu", "cnn-tiny") not in known.profiles.rows
    assert latest_live_run(live.parent, lab, DATA) == live


def test_a_table_that_no_run_knows_is_said(live: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text(
        'schema = 1\nname = "o"\n[boards.x]\nkind = "local"\nsite = "dc"\nmodels = ["resnet8"]\ncount = 2'
    )
    with pytest.raises(ConfigError, match="boards.x-0: the run in .* holds no profile of resnet8"):
        VirtualLab.seen_by(read_run(live), read_lab(file))
    assert latest_live_run(live.parent, read_lab(file), DATA) is None


def test_another_way_to_one_site_leaves_the_others_as_they_are(live: Path) -> None:
    known = VirtualLab.seen_by(read_run(live), read_lab(resources.lab("thousand")))
    farther = known.with_way("dc", 90 * MS)
    sites = {board: table.site for board, (table, _) in known.lab.boards.items()}
    assert {board for board in known.links if farther.links[board] != known.links[board]} == {
        board for board, site in sites.items() if site == "dc"
    }
    events = known_events(farther)
    seen = [event for event in events if isinstance(event, NetworkSeen)]
    assert len(seen) == sum(isinstance(event, BoardUp) for event in events) == 1000
    assert {event.rtt for event in seen if sites[event.board] == "dc"} == {90 * MS}
