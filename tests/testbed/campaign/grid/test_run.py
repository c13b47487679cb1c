from pathlib import Path

import msgspec
import pytest

from testbed.campaign.grid.cells import Factors
from testbed.campaign.grid.run import TRIALS_FILE, play_all, run_grid
from testbed.campaign.grid.study import Grid, read_grid
from testbed.campaign.progress import Silent
from testbed.errors import StoreError
from testbed.store.study import read_study
from tests.testbed.campaign.grid.test_study import FOLDER


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The experiment cut down to a few requests of three contenders."""
    place = tmp_path_factory.mktemp("experiment")
    text = (FOLDER / "campaign.toml").read_text()
    head = text[: text.index("[policies.edgesight-serial]")]
    head = head[: head.index("[factors]")]
    for old, new in {
        "requests = 10000": "requests = 150",
        "\nseeds = 20": "\nseeds = 1",
        "other_seeds = 5": "other_seeds = 1",
        '"lab.toml"': f'"{FOLDER / "lab.toml"}"',
        '"edgesight-auto"': '"ours"',
    }.items():
        assert old in head
        head = head.replace(old, new)
    tables = [
        '[policies.ours]\npolicy = "edgesight"\nours = true\noptions = { frontends = ["cnn-small"] }',
        '[policies.infaas]\npolicy = "infaas"',
    ]
    (place / "campaign.toml").write_text(head + "\n\n".join(tables) + "\n")
    return place


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    return run_grid(folder, tmp_path_factory.mktemp("runs") / "first", seed=None, progress=Silent())


def test_the_study_holds_trials_gains_and_figures(out) -> None:
    study = read_study(out)
    trials = [row for row in study.rows if row["what"] == "trial"]
    assert [row["policy"] for row in trials] == ["ours", "infaas"]
    assert [row["subject"] for row in study.rows if row["what"] == "gain"] == ["ours"]
    assert study.kind == "grid"
    assert study.figures["cells"] == 1


def test_a_study_is_not_overwritten(folder, out) -> None:
    with pytest.raises(StoreError, match="already"):
        run_grid(folder, out, seed=None, progress=Silent())


def test_what_was_finished_before_a_kill_is_not_played_again(folder, out, tmp_path: Path) -> None:
    study = read_grid(folder)
    lines = (out / TRIALS_FILE).read_bytes().splitlines(keepends=True)
    journal = tmp_path / TRIALS_FILE
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:40])  # the last line is torn
    marked = lines[1].replace(b'"loads":0', b'"loads":77')
    journal.write_bytes(lines[0] + marked + lines[2][:40])
    rows = play_all(Grid(study, folder), folder, journal, Silent())
    assert sorted(row.loads for row in rows) == [0, 77]
    assert len(journal.read_bytes().splitlines()) == 3


def test_trials_of_another_study_are_refused(folder, out, tmp_path: Path) -> None:
    journal = tmp_path / TRIALS_FILE
    journal.write_bytes((out / TRIALS_FILE).read_bytes())
    other = msgspec.structs.replace(read_grid(folder), seed=9, factors=Factors())
    with pytest.raises(StoreError, match="another study"):
        play_all(Grid(other, folder), folder, journal, Silent())
