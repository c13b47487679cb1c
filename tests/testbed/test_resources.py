from __future__ import annotations

import pytest

from testbed import resources
from testbed.errors import ConfigError


def test_a_checkout_is_its_own_source(tree):
    assert resources.root() == tree
    assert resources.shipped("experiments/labs") == tree / "experiments" / "labs"


def test_an_installation_has_the_copy(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "testbed"
    labs = package / "_shipped" / "experiments" / "labs"
    labs.mkdir(parents=True)
    (labs / "virtual.toml").write_text("schema = 1\n")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.root() == package / "_shipped"
    assert resources.lab("virtual") == labs / "virtual.toml"


def test_what_is_not_there_is_an_error():
    with pytest.raises(ConfigError, match="does not travel"):
        resources.shipped("experiments/no-such")


def test_a_lab_is_a_path_or_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.toml"
    mine.write_text("")
    assert resources.lab("mine.toml") == mine
    assert resources.lab(str(mine)) == mine
    assert resources.lab("virtual").name == "virtual.toml"
    with pytest.raises(ConfigError, match="Did you mean 'virtual'"):
        resources.lab("virtul")
    with pytest.raises(ConfigError, match="is a folder. Give the lab file"):
        resources.lab(str(tmp_path))
    with pytest.raises(ConfigError, match="no such lab file"):
        resources.lab("folder/virtual.toml")


def test_an_experiment_is_a_path_or_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "01-mine"
    mine.mkdir()
    with pytest.raises(ConfigError, match=r"no campaign\.toml"):
        resources.experiment("01-mine")
    (mine / "campaign.toml").write_text("")
    assert resources.experiment("01-mine") == mine
    with pytest.raises(ConfigError, match=r"is no folder. Give the folder with campaign\.toml"):
        resources.experiment("01-mine/campaign.toml")
    assert resources.experiment("00-hello").name == "00-hello"
    assert resources.experiment("experiments/00-hello") == resources.experiment("00-hello")
    with pytest.raises(ConfigError, match="Did you mean '00-hello'"):
        resources.experiment("00-helo")
    with pytest.raises(ConfigError, match="no such experiment"):
        resources.experiment("elsewhere/00-hello")
