from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from drivers.virtual.machine.config import MachineConfig, Rail, read_config, write_config
from tests.drivers.virtual.conftest import profile

if TYPE_CHECKING:
    from pathlib import Path


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    config = MachineConfig(
        name="board",
        root=tmp_path / "root",
        seed=3,
        profiles={"net": profile("net", 2.0)},
        predictions={"net": tmp_path / "p.npz"},
        rails=(Rail(label="VDD_IN", idle_frac=1.0, work_frac=1.0),),
        port=tmp_path / "port",
        facts={"answers": "infer"},
    )
    write_config(config, tmp_path / "machine.json")
    assert read_config(tmp_path / "machine.json") == config
    assert config.home.is_relative_to(config.root)


def test_a_key_it_does_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_text('{"name": "b", "root": "/r", "seed": 1, "profiles": {}, "bowd": 9600}')
    with pytest.raises(msgspec.ValidationError, match="bowd"):
        read_config(file)


def test_idle_power_is_the_largest_told(tmp_path: Path) -> None:
    profiles = {"a": profile("a", 1.0, watts=(4.0, 9.0)), "b": profile("b", 1.0, watts=(4.5, 9.0))}
    assert MachineConfig(name="b", root=tmp_path, seed=1, profiles=profiles).idle_w == 4.5
    assert MachineConfig(name="b", root=tmp_path, seed=1, profiles={}).idle_w == 0.0
