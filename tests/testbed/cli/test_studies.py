import json

import pytest

from testbed.cli.door import Exit
from tests.testbed.campaign.test_splits import TEXT
from tests.testbed.cli.conftest import call, invoke


@pytest.fixture
def place(tmp_path):
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "campaign.toml").write_text(TEXT)
    return tmp_path


def test_a_study_runs_like_any_experiment_and_can_be_reported_again(place) -> None:
    done = invoke("run", "few", "--out", "out", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["run"] == "out"
    assert document["figures"]["miss_frac"] == 0
    assert (place / "out" / "report.html").is_file()
    shown = call("report", "out", cwd=place)
    assert shown.returncode == 0
    assert "Promise kept?" in shown.stdout


@pytest.mark.parametrize("option", [("--virtual-time",), ("--lab", "virtual"), ("--gap",)])
def test_options_about_labs_are_refused(place, option) -> None:
    done = call("run", "few", *option, cwd=place)
    assert done.returncode == Exit.USAGE
    assert option[0] in done.stderr


def test_experiments_beside_it_that_play_trials_are_named(place) -> None:
    for name, kind in (("live", ""), ("other", 'kind = "splits"')):
        (place / "few" / name).mkdir()
        (place / "few" / name / "campaign.toml").write_text(kind)
    done = call("run", "few", "--gap", cwd=place)
    assert done.returncode == Exit.USAGE
    assert "few/live" in done.stderr
    assert "few/other" not in done.stderr


def test_an_unknown_kind_is_refused_with_the_right_one(place) -> None:
    file = place / "few" / "campaign.toml"
    file.write_text(file.read_text().replace('"splits"', '"split"'))
    done = call("run", "few", cwd=place)
    assert done.returncode == Exit.USAGE
    assert "splits" in done.stderr
