from __future__ import annotations

import msgspec
import pytest

from testbed.errors import ConfigError
from testbed.model.origin import Origin
from testbed.model.profile import Metered, Provenance, Quantity
from testbed.store.ladders import (
    FILE,
    Column,
    Columns,
    Ladder,
    Rung,
    ladder_text,
    load_ladder,
    profiles_of,
)
from testbed.store.profiles import load_profiles

WALL = Metered(kind="wall", what="mains")


def column(origin: Origin, how: str) -> Column:
    return Column(origin=origin, how=how)


LADDER = Ladder(
    schema=1,
    board="b",
    task="image-classification/imagenet-2012",
    citation="Suite v1, Who, System",
    path="open/{model}/x",
    p=(0.5, 0.9),
    accuracy_samples=100,
    metered=WALL,
    columns=Columns(
        service=column(Origin.CITED, "printed"),
        lowest=column(Origin.DERIVED, "lowest added"),
        accuracy=column(Origin.CITED, "top-1"),
        active_w=column(Origin.DERIVED, "mean"),
        energy_mj=column(Origin.DERIVED, "over queries"),
    ),
    rungs=(
        Rung(model="small", ms=(1.0, 2.0), accuracy=0.36, active_w=6.0, energy_mj=7.0, n=10),
        Rung(model="large", ms=(3.0, 4.0), accuracy=0.64, active_w=8.0, energy_mj=24.0, n=5, lowest_ms=2.5),
    ),
    idle_w=Quantity(value=2.0, origin=Origin.DERIVED, source="levels", metered=WALL),
    provenance=Provenance(run="r"),
)


def written(tmp_path, text: str = ""):
    file = tmp_path / "b" / FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(text or ladder_text(LADDER), "utf-8")
    return file


def test_a_ladder_comes_back_and_takes_one_line_a_rung(tmp_path):
    file = written(tmp_path)
    assert load_ladder(file) == LADDER
    assert sum(line.startswith("  {model = ") for line in file.read_text().splitlines()) == 2


def test_rungs_are_ordinary_profiles_with_the_columns_sources(tmp_path):
    written(tmp_path)
    profiles = load_profiles(tmp_path / "b")
    assert list(profiles) == ["large", "small"]
    small, large = profiles["small"], profiles["large"]
    assert small.service[0].p == (0.5, 0.9)
    assert small.service[0].origin is Origin.CITED
    assert small.service[0].source == "Suite v1, Who, System, open/small/x: printed"
    assert large.service[0].p == (0.0, 0.5, 0.9)
    assert large.service[0].ms == (2.5, 3.0, 4.0)
    assert large.service[0].origin is Origin.DERIVED
    assert large.accuracy[0].sigma == pytest.approx(0.048)
    assert large.energy_at().value == 24.0
    assert large.energy_at(net=True).value == pytest.approx(24.0 * 6 / 8)
    assert large.metered == WALL
    assert large.idle_w == LADDER.idle_w


def test_without_power_at_rest_there_is_no_net_energy(tmp_path):
    bare = msgspec.structs.replace(LADDER, idle_w=None)
    assert all(p.energy_at(net=True) is None for p in profiles_of(bare, tmp_path).values())
    hot = Quantity(value=7.0, origin=Origin.DERIVED, source="s", metered=WALL)
    made = profiles_of(msgspec.structs.replace(LADDER, idle_w=hot), tmp_path)
    assert made["small"].energy_at(net=True) is None
    assert made["large"].energy_at(net=True) is not None


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("schema = 1", "schema = 2", "schema", "not known"),
        ('board = "b"', 'board = "c"', "board", "in folder"),
        ("accuracy_samples", "accuracy_sample", "accuracy_sample", "unknown key"),
        ("n = 10", "m = 10", "rungs[0].m", "unknown key"),
        ("rungs = [", "rungs = [[", "", "not TOML"),
        ('model = "large"', 'model = "small"', "rungs[1].model", "twice"),
        ("ms = [1.0, 2.0]", "ms = [1.0]", "rungs[0] (small): service[0].p", "1 times"),
        ("ms = [1.0, 2.0]", "ms = [2.0, 1.0]", "rungs[0] (small): service[0].ms", "never decrease"),
        ("lowest_ms = 2.5", "lowest_ms = 3.5", "rungs[1] (large): service[0].ms", "never decrease"),
    ],
)
def test_what_is_wrong_is_named_with_its_rung(tmp_path, old, new, key, says):
    text = ladder_text(LADDER)
    assert old in text
    file = written(tmp_path, text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=says) as caught:
        load_profiles(tmp_path / "b")
    assert caught.value.file == str(file)
    assert caught.value.key == key


def test_a_model_must_not_also_have_a_file_of_its_own(tmp_path):
    from testbed.store.profile_writer import write_profile

    written(tmp_path)
    write_profile(profiles_of(LADDER, tmp_path)["small"], tmp_path / "b" / "small.toml")
    with pytest.raises(ConfigError, match="small also in a file of its own"):
        load_profiles(tmp_path / "b")
    with pytest.raises(ConfigError, match="cannot read"):
        load_ladder(tmp_path / "none" / FILE)
