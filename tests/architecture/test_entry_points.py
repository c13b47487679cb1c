"""The only registry: every driver and policy that the package announces is really there."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
ANNOUNCED = [
    EntryPoint(name, value, group)
    for group, entries in PROJECT["entry-points"].items()
    for name, value in entries.items()
] + [EntryPoint(name, value, "scripts") for name, value in PROJECT["scripts"].items()]


@pytest.mark.parametrize("point", ANNOUNCED, ids=lambda point: f"{point.group}:{point.name}")
def test_what_is_announced_can_be_loaded(point: EntryPoint) -> None:
    loaded = point.load()
    assert callable(loaded) or point.group == "pytest11"


def test_every_group_is_one_of_the_known() -> None:
    kinds = ("links", "boards", "carriers", "meters", "switches", "policies")
    groups = {point.group for point in ANNOUNCED}
    assert groups <= {*(f"testbed.{kind}" for kind in kinds), "pytest11", "scripts"}
