"""Lab files: what is wrong is named by file, key and cure."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed import resources
from testbed.coordinator.labfile import RecoveryTable, read_lab
from testbed.errors import ConfigError

GOOD = """
schema = 1
name = "x"
[boards.a]
kind = "local"
site = "dc"
models = ["m"]
threads = 2
relay = { delay_ms = 20 }
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "lab.toml"
    file.write_text(text)
    return file


def test_common_keys_and_driver_options_are_told_apart(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD))
    table, options = lab.boards["a"]
    assert (table.kind, table.site, table.models) == ("local", "dc", ("m",))
    assert options == {"threads": 2, "relay": {"delay_ms": 20}}
    assert lab.text == GOOD


def test_who_may_use_the_boards_and_how_they_are_cared_for(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD))
    assert (lab.state, lab.lease_s, lab.recovery) == (None, 15.0, RecoveryTable())
    text = GOOD.replace('name = "x"', 'name = "x"\nstate = "shared"\nlease_s = 5')
    lab = read_lab(write(tmp_path, text + 'lease = "bench"\n[recovery]\nattempts = 1\n'))
    assert (lab.state, lab.lease_s, lab.recovery.attempts) == (tmp_path / "shared", 5.0, 1)
    assert lab.boards["a"][0].lease == "bench"
    assert "lease" not in lab.boards["a"][1]


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        (GOOD.replace("schema = 1", "schema = 2"), "schema", "not known"),
        (GOOD.replace('name = "x"', 'nmae = "x"'), "nmae", "Did you mean 'name'"),
        (GOOD.replace('site = "dc"', 'site = "cloud"'), "boards.a.site", "cloud"),
        (GOOD.replace('kind = "local"', ""), "boards.a.kind", "is missing"),
        (GOOD.replace('models = ["m"]', 'models = "m"'), "boards.a.models", "array"),
        ('schema = 1\nname = "x"\n[boards]\n', "boards", "at least one"),
        (GOOD + "[[[", "", "not valid TOML"),
        (GOOD.replace('name = "x"', 'name = "x"\nlease_s = 0.1'), "lease_s", "between 1 and 600"),
        (GOOD + 'lease = " "\n', "boards.a.lease", "is empty"),
        (GOOD + "[recovery]\ngrace = 3\n", "recovery.grace", "Did you mean 'grace_s'"),
        (GOOD + "[recovery]\nreturn_s = -3\n", "recovery.return_s", "must be a finite number >= 0"),
        (GOOD + "[recovery]\nreturn_s = nan\n", "recovery.return_s", "must be a finite number >= 0"),
        (GOOD.replace("[boards.a]", '[boards."../a"]'), "boards.../a", "without slashes"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, key: str, says: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_lab(file)
    assert caught.value.file == str(file)
    assert caught.value.key == key
    assert says in str(caught.value)


def test_what_is_no_text_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory. Name a TOML file"):
        read_lab(tmp_path)
    (tmp_path / "photo.toml").write_bytes(bytes([0xFF, 0xD8, 0xFF]))
    with pytest.raises(ConfigError, match="is no UTF-8 text"):
        read_lab(tmp_path / "photo.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_lab(tmp_path / "none.toml")


FED = """
[meters.wall]
kind = "scpi"
feeds = "a"
where = "tcp://meter:5025"
[switches.plug]
kind = "command"
feeds = "a"
on = ["on"]
off = ["off"]
"""


def test_meters_and_switches_name_their_board_and_keep_their_options(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD + FED))
    table, options = lab.meters["wall"]
    assert (table.kind, table.feeds, options) == ("scpi", "a", {"where": "tcp://meter:5025"})
    table, options = lab.switches["plug"]
    assert (table.kind, table.feeds, options) == ("command", "a", {"on": ["on"], "off": ["off"]})


def test_one_board_alone_keeps_what_feeds_it(tmp_path: Path) -> None:
    other = GOOD.partition("[boards.a]")[2]
    lab = read_lab(write(tmp_path, GOOD + "[boards.b]" + other + FED))
    assert set(lab.only("a").meters) == {"wall"}
    alone = lab.only("b")
    assert (set(alone.boards), alone.meters, alone.switches) == ({"b"}, {}, {})
    with pytest.raises(ConfigError, match="no board 'c'"):
        lab.only("c")


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        (FED.replace('feeds = "a"', 'feeds = "z"', 1), "meters.wall.feeds", "no board 'z'"),
        (FED.replace('kind = "scpi"\n', ""), "meters.wall.kind", "is missing"),
        (FED + '[switches.two]\nkind = "command"\nfeeds = "a"\n', "switches.two.feeds", "'plug' already"),
    ],
)
def test_a_wrong_instrument_names_its_key(tmp_path: Path, text: str, key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_lab(write(tmp_path, GOOD + text))
    assert caught.value.key == key
    assert says in str(caught.value)


def test_a_table_may_stand_for_many_boards(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD + "count = 12\n"))
    assert list(lab.boards) == [f"a-{i:02}" for i in range(12)]
    assert set(lab.tables.values()) == {"a"}
    assert lab.boards["a-00"] == lab.boards["a-11"]
    assert "count" not in lab.boards["a-00"][1]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("count = 0", "boards.a.count: must be at least 1"),
        (
            'count = 2\n[boards.a-1]\nkind = "local"\nsite = "dc"\nmodels = ["m"]',
            "gives a second board 'a-1'",
        ),
    ],
)
def test_numbers_of_boards_that_cannot_be(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_lab(write(tmp_path, f"{GOOD}{more}\n"))
    assert says in str(caught.value)


def test_the_thousand_boards_are_those_of_the_virtual_lab() -> None:
    one, many = read_lab(resources.lab("virtual")), read_lab(resources.lab("thousand"))
    assert len(many.boards) == 1000
    for board, table in many.tables.items():
        common, options = many.boards[board]
        assert (msgspec.structs.replace(common, count=1), options) == one.boards[table]
