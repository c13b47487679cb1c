from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.errors import ConfigError
from testbed.model.origin import Origin
from testbed.store.profiles import find_folder, load_profile, load_profiles

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
schema = 1
board = "some-board"
model = "net"
task = "image-classification/fashion-mnist"
sha256 = ["00"]

[[service]]
batch = 1
p = [0.0, 0.5, 1.0]
ms = [1, 2.0, 4.0]
origin = "assumed"
source = "a guess"

[[accuracy]]
value = 0.8
origin = "measured"
source = "2,000 images"
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "some-board" / "net.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_profile_comes_back_with_its_origins(tmp_path: Path) -> None:
    profile = load_profile(written(tmp_path, GOOD))
    assert profile.service_at(q=0.75) == 3_000_000
    assert profile.service[0].origin is Origin.ASSUMED
    assert profile.accuracy[0].origin is Origin.MEASURED
    assert profile.idle_w is None


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("schema = 1", "schema = 2", "schema", "not known"),
        ('model = "net"', 'model = "other"', "model", "in file"),
        ('board = "some-board"', 'board = "another"', "board", "in folder"),
        ('task = "', 'tusk = "', "tusk", "unknown key"),
        ("batch = 1", "bitch = 1", "service[0].bitch", "Did you mean 'batch'"),
        ("batch = 1", "batch = 2", "service", "Give every exit"),
        ("batch = 1", "batch = 1\nexit = 1", "service", "Give every exit"),
        ("ms = [1, 2.0, 4.0]", "ms = [1, 2.0]", "service[0].p", "2 times"),
        ("ms = [1, 2.0, 4.0]", "ms = [1, 5.0, 4.0]", "service[0].ms", "never decrease"),
        ("p = [0.0, 0.5, 1.0]", "p = [0.0, 0.5, 0.5]", "service[0].p", "must increase"),
        ('source = "a guess"', 'source = " "', "service[0].source", "without a source"),
        ('source = "2,000 images"', "", "accuracy[0].source", "source"),
        ('origin = "assumed"', 'origin = "guessed"', "service[0].origin", "guessed"),
        ("value = 0.8", 'value = "0.8"', "accuracy[0].value", "expected number"),
        ("[[accuracy]]", "[[accuracy]", "", "not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_cure(
    tmp_path: Path, old: str, new: str, key: str, says: str
) -> None:
    assert old in GOOD
    file = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_profile(file)
    assert caught.value.file == str(file)
    assert caught.value.key == key
    assert says in str(caught.value)
    assert caught.value.cure


def test_folders_are_found_by_name_and_beside_the_lab_file(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    assert set(load_profiles(find_folder("./some-board", beside=tmp_path / "lab.toml"))) == {"net"}
    assert find_folder("virtual-jetson").name == "virtual-jetson"
    with pytest.raises(ConfigError, match="Did you mean 'virtual-jetson'"):
        find_folder("virtual-jetsen")
    with pytest.raises(ConfigError, match="by its path, as in hwprofiles/mine"):
        find_folder("mine")
    with pytest.raises(ConfigError, match="nowhere") as caught:
        find_folder("./nowhere", beside=tmp_path / "lab.toml")
    assert (caught.value.file, caught.value.key) == (str(tmp_path / "lab.toml"), "profiles")
    # As `testbed profile … --out hwprofiles/mine/net.toml` leaves it: found from a lab file beside, or further down.
    mine = tmp_path / "hwprofiles" / "mine"
    mine.mkdir(parents=True)
    for lab in (tmp_path / "lab.toml", tmp_path / "experiments" / "labs" / "lab.toml"):
        assert find_folder("mine", beside=lab) == mine
        assert find_folder("virtual-jetson", beside=lab).name == "virtual-jetson"
        with pytest.raises(ConfigError, match="Did you mean 'mine'"):
            find_folder("mime", beside=lab)
    with pytest.raises(ConfigError, match="no such folder"):
        load_profiles(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no profile"):
        load_profiles(tmp_path / "empty")
