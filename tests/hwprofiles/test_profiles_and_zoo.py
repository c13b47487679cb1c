from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from testbed.model.origin import Origin
from testbed.store.profiles import load_profile

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "hwprofiles").glob("virtual-*/*.toml"))
CURE = "the zoo has changed; run: python experiments/zoo/refresh_profiles.py"


def zoo() -> dict[str, dict]:
    catalog = tomllib.loads((ROOT / "testbed/zoo/fashion-mnist/catalog.toml").read_text(encoding="utf-8"))
    return {model["name"]: model for model in catalog["models"]}


def test_there_are_profiles_for_both_virtual_boards() -> None:
    assert {file.parent.name for file in FILES} >= {"virtual-jetson", "virtual-mcu"}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_hashes_and_accuracies_are_those_of_the_zoo(file: Path) -> None:
    profile = load_profile(file)
    model = zoo()[profile.model]
    assert profile.sha256 == tuple(part["sha256"] for part in model["parts"]), CURE
    counted = [exit_["calibration"]["correct"] / exit_["calibration"]["samples"] for exit_ in model["exits"]]
    assert [quantity.value for quantity in profile.accuracy] == pytest.approx(counted, abs=1e-4), CURE


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_nothing_of_a_virtual_board_claims_to_be_measured_on_silicon(file: Path) -> None:
    profile = load_profile(file)
    assert all(service.origin is Origin.ASSUMED for service in profile.service)
    for watts in (profile.active_w, profile.idle_w):
        assert watts is None or watts.origin in (Origin.ASSUMED, Origin.DERIVED, Origin.CITED)


def test_deeper_exits_and_larger_batches_take_longer() -> None:
    for file in FILES:
        profile = load_profile(file)
        for q in (0.0, 0.5, 0.99):
            exits = [profile.service_at(1, exit_, q) for exit_ in range(profile.exits)]
            batches = [profile.service_at(batch, q=q) for batch in (1, 2, 4, 8, 16)]
            assert exits == sorted(exits)
            assert batches == sorted(batches)
