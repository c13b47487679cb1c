import math
from pathlib import Path

import pytest

from testbed.campaign.grid.declared import declared_lab
from testbed.coordinator.labfile import read_lab
from testbed.errors import ConfigError
from testbed.units import MS

BOARD = """
[boards.{name}]
kind = "virtual-jetson"
site = "edge"
models = ["cnn-small"]
profiles = "virtual-jetson"
"""


def lab(folder: Path, way: str):
    file = folder / "lab.toml"
    file.write_text('schema = 1\nname = "x"\n' + BOARD.format(name="a") + way)
    return read_lab(file)


@pytest.mark.parametrize(
    ("way", "rtt", "rate"),
    [
        ("network = { up = { delay_ms = 5, rate_mbit = 8 }, down = { delay_ms = 1 } }", 6 * MS, 1e6),
        ("relay = { delay_ms = 20 }", 40 * MS, math.inf),
        ("network = {}", 0, math.inf),
    ],
)
def test_the_way_is_as_the_file_declares_it(tmp_path: Path, way: str, rtt: int, rate: float) -> None:
    found = declared_lab(lab(tmp_path, way))
    assert found.links["a"].rtt == rtt
    assert found.links["a"].up_bytes_per_s == rate
    assert ("a", "cnn-small") in found.profiles.rows


def test_a_way_that_is_not_declared_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"boards\.a.*not declared"):
        declared_lab(lab(tmp_path, ""))


def test_a_missing_profile_is_named(tmp_path: Path) -> None:
    made = lab(tmp_path, "network = {}")
    file = tmp_path / "lab.toml"
    file.write_text(file.read_text().replace('"cnn-small"', '"cnn-small", "resnet8-int8"'))
    with pytest.raises(ConfigError, match="resnet8-int8"):
        declared_lab(read_lab(file))
    assert made.boards
