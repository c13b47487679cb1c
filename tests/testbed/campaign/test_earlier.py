"""Which run may say how a lab is; that one is found and used is in tests/testbed/cli/test_pairs.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from testbed.campaign.bench import profile_lookup
from testbed.campaign.data import Data
from testbed.campaign.design import design
from testbed.campaign.earlier import latest_live_run
from testbed.campaign.pages import first_page
from testbed.campaign.run import scouting
from testbed.campaign.spec import read_campaign
from testbed.coordinator.labfile import read_lab
from testbed.model.event import NetworkSeen
from testbed.model.profile import ProfileBook
from testbed.model.record import TrialStatus
from testbed.resources import experiment
from testbed.store.schema import Source, TrialStart
from testbed.store.writer import RunWriter

if TYPE_CHECKING:
    from pathlib import Path

CAMPAIGN = scouting(read_campaign(experiment("00-hello")))
LAB = read_lab(CAMPAIGN.lab)
DATA = Data(CAMPAIGN.tasks)


def write_live(folder: Path, created: str, *, probed: bool = True, **changes: object) -> Path:
    """A live run of the shipped lab as far as the search looks at it."""
    find = profile_lookup(LAB)
    some = find("virtual-jetson", "resnet8")
    assert some is not None
    rows = {
        (board, model): (find(table.profiles, model) if table.profiles else None) or some
        for board, (table, _) in LAB.boards.items()
        for model in table.models
    }
    header = first_page(folder, CAMPAIGN, LAB, DATA, design(CAMPAIGN), None, ProfileBook(rows), ["a" * 64])
    header = msgspec.structs.replace(header, created=created, **changes)
    with RunWriter.create(folder, header) as run:
        start = TrialStart(
            trial="b0",
            policy="edgesight",
            block=0,
            seed=1,
            arrivals_sha256="",
            requests=0,
            t0=0,
            wall=created,
        )
        with run.begin(start) as journal:
            for board in LAB.boards if probed else ():
                journal.events.write(
                    NetworkSeen(t=0, board=board, rtt=1, up_bytes_per_s=1e6, down_bytes_per_s=1e6)
                )
            journal.end(TrialStatus.OK)
    return folder


def test_the_latest_that_can_say_how_the_lab_is(tmp_path: Path) -> None:
    assert latest_live_run(tmp_path, LAB, DATA) is None
    first = write_live(tmp_path / "z", "2026-01-01")
    assert latest_live_run(tmp_path, LAB, DATA) == first
    second = write_live(tmp_path / "a", "2026-01-02")
    write_live(tmp_path / "c", "2026-01-03", probed=False)
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "header.json").write_text("{")
    assert latest_live_run(tmp_path, LAB, DATA) == second


@pytest.mark.parametrize(
    "changes",
    [
        {"after": Source(run="x", created="y")},
        {"agent_sha256": ""},
        {"lab_text": LAB.text.replace("cnn-tiny", "cnn-small")},
        {"models": {}},
        {"host": {"cpu": "Another CPU"}},
        {"profiles": {}},
    ],
)
def test_a_run_of_something_else_is_passed_over(tmp_path: Path, changes: dict[str, object]) -> None:
    write_live(tmp_path / "run", "2026-01-01", **changes)
    assert latest_live_run(tmp_path, LAB, DATA) is None


def test_a_scouting_run_is_short_and_of_the_same_lab() -> None:
    whole = read_campaign(experiment("00-hello"))
    assert CAMPAIGN.name == "00-hello-scout"
    assert len(design(CAMPAIGN)) == 1
    assert CAMPAIGN.workload.requests == 50
    assert (CAMPAIGN.lab, CAMPAIGN.tasks, CAMPAIGN.seed) == (whole.lab, whole.tasks, whole.seed)
