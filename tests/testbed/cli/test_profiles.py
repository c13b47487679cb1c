from __future__ import annotations

import json

import pytest

from testbed.cli.door import Exit
from testbed.cli.profiles import read
from testbed.errors import ConfigError
from testbed.store.profile_schema import schema_text
from testbed.store.profile_writer import write_profile
from tests.testbed.cli.conftest import call
from tests.testbed.report.profiles.samples import CHIP, profile


@pytest.fixture
def boards(tmp_path):
    """Two folders of profiles; the second is metered differently."""
    for name, metered in (("wall-board", None), ("chip-board", CHIP)):
        for model in ("m", "n"):
            made = profile(model) if metered is None else profile(model, metered=metered)
            write_profile(
                made.__class__(**{**_fields(made), "board": name}), tmp_path / name / f"{model}.toml"
            )
    return tmp_path


def _fields(made):
    return {name: getattr(made, name) for name in made.__struct_fields__}


def test_without_a_command_the_shipped_folders_are_listed():
    assert json.loads(call("profiles", "--json").stdout)["schema"] == 1
    done = call("profiles")
    assert done.returncode == 0, done.stderr
    assert "virtual-jetson" in done.stdout
    assert "assumed" in done.stdout


def test_the_models_of_a_folder_are_listed(boards):
    done = call("profiles", "list", boards / "wall-board", "--json")
    document = json.loads(done.stdout)
    assert [point["model"] for point in document["points"]] == ["m", "n"]
    assert "wall: mains" in call("profiles", "list", boards / "wall-board").stdout


def test_two_folders_are_compared_and_what_must_not_be_is_said(boards):
    out = boards / "page.html"
    pair = (boards / "wall-board", boards / "chip-board")
    done = call("profiles", "compare", *pair, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "metered differently" in done.stdout
    assert "withheld" in done.stdout
    assert out.is_file()
    document = json.loads(call("profiles", "compare", *pair, "--json").stdout)
    assert document["file"] is None
    assert all(row["energy_ratio"] is None for row in document["pairs"])
    assert len(document["pairs"]) == 2


def test_one_model_of_a_board_is_named_with_a_slash(boards):
    assert [p.model for p in read(str(boards / "wall-board" / "n"))] == ["n"]
    assert [p.model for p in read(str(boards / "wall-board" / "n.toml"))] == ["n"]
    assert [p.model for p in read("virtual-jetson/resnet8")] == ["resnet8"]
    assert len(read("virtual-mcu")) == 2
    with pytest.raises(ConfigError, match="Did you mean 'resnet8'"):
        read("virtual-jetson/resnet88")
    done = call("profiles", "compare", "virtual-jetson", "virtual-jetson")
    assert done.returncode == Exit.USAGE
    assert "twice" in done.stderr


def test_check_says_what_is_wrong_and_what_is_missing(boards):
    done = call("profiles", "check", boards / "wall-board", "--json")
    assert done.returncode == Exit.MISSED
    wrong = json.loads(done.stdout)["wrong"]
    assert wrong[f"{boards / 'wall-board'}/m"] == ["no [provenance], but service times of a real board"]
    file = boards / "chip-board" / "m.toml"
    file.write_text(file.read_text().replace("schema = 1", "schema = 7"))
    done = call("profiles", "check", boards / "chip-board")
    assert done.returncode == Exit.MISSED
    assert "schema 7 is not known" in done.stdout


def test_a_wrong_file_is_named_once_and_hides_no_other_file_of_its_folder(boards):
    folder = boards / "wall-board"
    (folder / "a.toml").write_text("{")
    (folder / "b.toml").write_text("schema = 1")
    done = call("profiles", "check", folder / "a.toml")
    assert done.returncode == Exit.MISSED
    assert done.stdout.count("a.toml") == 1
    assert "0 profiles read: 1 to mend" in done.stdout
    document = json.loads(call("profiles", "check", folder, "--json").stdout)
    assert document["profiles"] == 2
    first, second = document["wrong"][str(folder)]
    assert "a.toml: not TOML" in first
    assert "b.toml: " in second
    assert f"{folder}/n" in document["wrong"]
    assert "folders" not in call("profiles", "check", folder).stderr


def test_a_folder_with_nothing_but_an_interrupted_profile_says_how_to_go_on(tmp_path):
    (tmp_path / "m.journal.jsonl").touch()
    assert "Run: testbed profile BOARD MODEL" in call("profiles", "check", tmp_path).stdout
    (tmp_path / "m.journal.jsonl").write_text("{}\n")
    done = call("profiles", "check", tmp_path)
    assert done.returncode == Exit.MISSED
    assert done.stdout.count(str(tmp_path)) == 1
    assert "m.journal.jsonl" in done.stdout
    assert "--resume" in done.stdout


def test_every_shipped_profile_passes_the_check():
    done = call("profiles", "check", "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["profiles"] > 1100


def test_the_schema_is_printed():
    assert call("profiles", "schema").stdout == schema_text()
    assert call("profiles", "schema", "--json").stdout == schema_text()


def test_a_model_borrows_its_pace_from_a_published_one(tmp_path):
    out = tmp_path / "my-pi"
    rung = "raspberry-pi-4-tflite/mobilenet-v1-0.25-128-quantized"
    done = call("profiles", "borrow", "cnn-small", rung, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "assumed, since nobody ran it there" in done.stdout
    (made,) = read(str(out))
    assert (made.board, made.model) == ("my-pi", "cnn-small")
    assert made.service_at() == read(rung)[0].service_at()
    done = call("profiles", "borrow", "resnet8-ee", rung, "--out", out)
    assert done.returncode == Exit.USAGE
    assert "3 exits" in done.stderr
