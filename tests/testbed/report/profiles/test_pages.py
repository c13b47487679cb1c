from __future__ import annotations

import json

import msgspec
import pytest

from testbed.errors import ConfigError
from testbed.report.profiles.compare import compare_profiles
from testbed.report.profiles.pages import (
    SHOWN,
    page,
    profile_tables,
    profiles_to_console,
    profiles_to_json,
    write_profiles,
)
from tests.testbed.report.profiles.samples import CHIP, profile


def mixed():
    return compare_profiles({"a": [profile("m", batches=(1, 8))], "b": [profile("m", metered=CHIP)]})


def test_withheld_ratios_stand_in_the_table_with_their_reason():
    tables = {table.title: table for table in profile_tables(mixed())}
    pairs = tables["The same model on both: 1 is a, 2 is b"]
    assert pairs.body[0][6] == "withheld"
    assert "Ratio of energies withheld: metered differently: a wall, b chip." in pairs.remarks
    assert [row[2] for row in tables["Batches"].body] == ["1", "8"]


def test_alike_they_have_a_ratio_and_a_common_front():
    found = compare_profiles({"a": [profile("m")], "b": [profile("m", ms=8.0, energy_mj=60.0)]})
    tables = profile_tables(found)
    assert tables[1].body[0][3] == "2.00"
    assert tables[1].body[0][6] == "2.00"
    marks = {row[0]: row[-1] for row in tables[-1].body}
    assert marks == {"a": "yes *", "b": "yes"}


def test_a_long_table_is_cut_in_the_terminal_and_whole_on_the_page():
    many = [profile(f"m{k:03}", ms=1.0 + k, energy_mj=100.0 - k, accuracy=0.5) for k in range(60)]
    found = compare_profiles({"a": many})
    short = profile_tables(found, most=SHOWN)[-1]
    assert len(short.body) == SHOWN
    assert "36 more rows" in short.remarks[-1]
    assert len(profile_tables(found)[-1].body) == 60
    assert page(found).count("m059") == 1


def test_the_terminal_begins_with_the_warnings():
    first = profiles_to_console(mixed())[0]
    assert "metered differently" in str(first)


def test_json_holds_everything(tmp_path):
    document = json.loads(msgspec.json.encode(profiles_to_json(mixed())))
    assert document["schema"] == 1
    assert document["pairs"][0]["energy_ratio"] is None
    assert document["subjects"][1]["kinds"] == ["chip"]
    assert document["warnings"]


def test_page_and_picture_are_self_contained(tmp_path):
    many = {name: [profile(f"m{k}", ms=1.0 + k, energy_mj=1.0 + k) for k in range(4)] for name in "ab"}
    found = compare_profiles(many)
    write_profiles(found, tmp_path / "c.html")
    text = (tmp_path / "c.html").read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert "data:image/svg+xml;base64," in text
    assert "<script" not in text
    write_profiles(found, tmp_path / "c.svg")
    assert (tmp_path / "c.svg").read_text("utf-8").startswith("<svg")
    with pytest.raises(ConfigError, match="neither a page nor a picture"):
        write_profiles(found, tmp_path / "c.pdf")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_profiles(found, tmp_path / "none" / "c.svg")
    assert "metered differently" in page(mixed())
