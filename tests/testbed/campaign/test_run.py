"""What a resume insists on; that it works is in tests/flow."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.campaign.data import Data
from testbed.campaign.design import design
from testbed.campaign.pages import first_page
from testbed.campaign.run import run_experiment
from testbed.campaign.spec import Campaign, read_campaign
from testbed.coordinator.labfile import LabFile, read_lab
from testbed.errors import ConfigError, PolicyError, StoreError
from testbed.model.profile import ProfileBook
from testbed.store.schema import Footer, Header
from testbed.store.writer import RunWriter

HELLO = Path(__file__).parents[3] / "experiments" / "00-hello"


def begun(folder: Path, played: Campaign, lab: LabFile, **changes: object) -> Path:
    """A run folder that was begun and left, with a header that differs."""
    data = Data(played.tasks)
    header: Header = first_page(folder, played, lab, data, design(played), None, ProfileBook({}), [])
    with RunWriter.create(folder, msgspec.structs.replace(header, **changes)):
        return folder


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"campaign": {"name": "another"}}, "the campaign is not the one"),
        ({"lab_sha256": "0" * 64}, "the lab is not the one"),
        ({"models": {"cnn-small": "0" * 64}}, "is not the one this run was begun with"),
    ],
)
def test_a_run_is_not_completed_with_something_else(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    campaign = read_campaign(HELLO)
    folder = begun(tmp_path / "run", campaign, read_lab(campaign.lab), **changes)
    with pytest.raises(ConfigError, match=says):
        run_experiment(HELLO, resume=folder)


def test_the_seed_of_a_resumed_run_is_its_own(tmp_path: Path) -> None:
    campaign = read_campaign(HELLO, seed=5)
    folder = begun(tmp_path / "run", campaign, read_lab(campaign.lab), models={})
    # It passes the campaign's check, which a seed of 1 would not, and fails at the next.
    with pytest.raises(ConfigError, match="model"):
        run_experiment(HELLO, resume=folder)
    with pytest.raises(ConfigError, match="the campaign is not the one"):
        run_experiment(HELLO, resume=folder, seed=1)


def test_resuming_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        run_experiment(HELLO, resume=tmp_path)


@pytest.fixture
def no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_args: object, **_named: object) -> None:
        raise AssertionError("the lab was opened")

    monkeypatch.setattr("testbed.campaign.run.open_lab", opened)


@pytest.mark.usefixtures("no_lab")
def test_a_finished_run_is_resumed_without_a_lab(tmp_path: Path) -> None:
    campaign = read_campaign(HELLO)
    folder = begun(tmp_path / "run", campaign, read_lab(campaign.lab), planned=())
    with pytest.raises(AssertionError, match="the lab was opened"):
        run_experiment(HELLO, resume=folder)
    RunWriter.resume(folder).close(Footer(status="finished", ended="now"))
    assert run_experiment(HELLO, resume=folder) == folder


def hello(folder: Path, old: str, new: str) -> Path:
    text = (HELLO / "campaign.toml").read_text()
    assert old in text
    lab = (HELLO / ".." / "labs" / "virtual.toml").resolve()
    text = text.replace(old, new).replace("../labs/virtual.toml", str(lab))
    (folder / "campaign.toml").write_text(text)
    return folder


@pytest.mark.usefixtures("no_lab")
@pytest.mark.parametrize(
    ("table", "key", "says"),
    [
        ("[options.dc-only]\nmodel = 1\n", "options.dc-only.model", "unknown key"),
        ("[options.edgesight]\ntransport = 1\n", "options.edgesight.transport", "expected string"),
    ],
)
def test_options_are_refused_before_a_board_is_opened(
    tmp_path: Path, table: str, key: str, says: str
) -> None:
    folder = hello(tmp_path, "[calibration]", f"{table}[calibration]")
    with pytest.raises(ConfigError, match=says) as caught:
        run_experiment(folder, out=tmp_path / "run")
    assert (caught.value.file, caught.value.key) == (str(folder / "campaign.toml"), key)


@pytest.mark.usefixtures("no_lab")
def test_a_policy_that_lacks_thresholds_says_what_they_take(tmp_path: Path) -> None:
    needs = (HELLO / "campaign.toml").read_text().partition("needs = [")[2].partition("\n]\n")[0]
    folder = hello(tmp_path, needs, "{ deadline_ms = 100 }")
    with pytest.raises(ConfigError, match=r"no calibrated thresholds.*min_accuracy") as caught:
        run_experiment(folder, out=tmp_path / "run")
    assert caught.value.key == "policies"


@pytest.mark.usefixtures("no_lab")
def test_a_policy_that_cannot_be_built_without_profiles_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("cnn-small")

    monkeypatch.setattr("testbed.campaign.policies.make_policy", broken)
    with pytest.raises(PolicyError, match="'edgesight' cannot be built without profiles: KeyError"):
        run_experiment(HELLO, out=tmp_path / "run")


@pytest.mark.usefixtures("no_lab")
def test_a_taken_folder_is_refused_before_a_board_is_opened(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="already holds"):
        run_experiment(HELLO, out=tmp_path / "run")
    with pytest.raises(StoreError, match="is no folder"):
        run_experiment(HELLO, out=tmp_path / "run" / "notes.txt" / "deep")


def test_an_unknown_policy_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    text = (HELLO / "campaign.toml").read_text().replace('"edge-only"', '"edge-onyl"')
    lab = (HELLO / ".." / "labs" / "virtual.toml").resolve()
    (tmp_path / "campaign.toml").write_text(text.replace("../labs/virtual.toml", str(lab)))
    with pytest.raises(ConfigError, match="Did you mean 'edge-only'"):
        run_experiment(tmp_path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
