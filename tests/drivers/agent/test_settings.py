"""Settings that a run changes, and what becomes of them when agents die."""

from __future__ import annotations

import json

import pytest

from drivers.agent.settings import BoardSettings, SettingError, output_of


class Dials:
    """Two numbers on a board; they outlive the agents."""

    def __init__(self):
        self.values = {"dial:a": "1", "dial:b": "2"}
        self.stuck = False

    def names(self):
        return sorted(self.values)

    def owns(self, name):
        return name.startswith("dial:")

    def touches(self, name):
        return []

    def read(self, name):
        if name not in self.values:
            raise SettingError(f"no {name}")
        return self.values[name]

    def write(self, name, value):
        if self.stuck:
            raise SettingError("stuck")
        self.values[name] = value


@pytest.fixture
def dials():
    return Dials()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "settings.json"


def test_the_first_value_is_the_original_however_often_it_is_set(dials, file):
    agent = BoardSettings([dials], file)
    agent.write("dial:a", "7")
    assert agent.write("dial:a", "8") == "8"
    assert json.loads(file.read_text())["original"] == {"dial:a": "1"}
    assert agent.restore() == []
    assert dials.values == {"dial:a": "1", "dial:b": "2"}
    assert not file.exists()


def test_what_a_killed_agent_left_is_put_back_by_the_next(dials, file):
    BoardSettings([dials], file).write("dial:a", "7")  # and then kill -9
    fresh = BoardSettings([dials], file)
    assert fresh.clean_up() == []
    assert dials.values["dial:a"] == "1"
    assert fresh.write("dial:a", "9") == "9"
    assert fresh.restore() == []
    assert dials.values["dial:a"] == "1", "the original is that of before both"


def test_an_agent_that_ends_late_leaves_the_board_to_the_one_that_took_over(dials, file):
    cut_off, fresh = BoardSettings([dials], file), BoardSettings([dials], file)
    cut_off.write("dial:a", "7")
    fresh.clean_up()
    fresh.write("dial:a", "9")
    assert cut_off.restore() == []
    assert dials.values["dial:a"] == "9"
    fresh.restore()
    assert dials.values["dial:a"] == "1"


def test_it_leaves_the_board_alone_too_where_the_new_one_changes_nothing(dials, file):
    cut_off, fresh = BoardSettings([dials], file), BoardSettings([dials], file)
    cut_off.write("dial:a", "7")
    fresh.clean_up()
    dials.values["dial:a"] = "5"  # somebody at the console
    assert cut_off.restore() == []
    assert dials.values["dial:a"] == "5"


def test_a_refused_restore_is_told_and_can_be_tried_again(dials, file):
    agent = BoardSettings([dials], file)
    agent.write("dial:a", "7")
    dials.stuck = True
    assert agent.restore() == ["dial:a: stuck"]
    dials.stuck = False
    assert BoardSettings([dials], file).clean_up() == []
    assert dials.values["dial:a"] == "1"


def test_nothing_is_changed_whose_original_cannot_be_kept(dials, tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    agent = BoardSettings([dials], tmp_path / "state" / "settings.json")
    with pytest.raises(SettingError, match="cannot be kept"):
        agent.write("dial:a", "7")
    assert dials.values["dial:a"] == "1"


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"owner": 1}', '{"owner": "x", "original": 3}'])
def test_a_torn_file_is_no_crash(dials, file, torn):
    file.parent.mkdir()
    file.write_text(torn)
    agent = BoardSettings([dials], file)
    assert agent.clean_up() == []
    assert agent.restore() == []
    assert dials.values == {"dial:a": "1", "dial:b": "2"}


def test_an_unknown_setting_is_refused(dials):
    with pytest.raises(SettingError, match="fan"):
        BoardSettings([dials]).read("fan")


@pytest.mark.parametrize("command", [["false"], ["sleep", "5"], ["/no/such/tool"]])
def test_a_command_that_does_not_succeed_in_time_is_an_error(command):
    with pytest.raises(SettingError, match=command[0]):
        output_of(command, 0.2)
