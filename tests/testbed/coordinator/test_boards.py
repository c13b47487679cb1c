"""What drivers are built from, and building them."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.coordinator.boards import build_board
from testbed.errors import ConfigError
from tests.testbed.coordinator.test_inventory import lab_text, make

__all__ = ["lab_text"]


def test_an_unknown_model_and_an_unknown_kind_are_named(tmp_path: Path, lab_text: str) -> None:
    with pytest.raises(ConfigError, match="boards.a.models"):
        make(tmp_path, lab_text.replace('"n"', '"resnet"'))
    with pytest.raises(ConfigError, match="Did you mean 'fake'"):
        make(tmp_path, lab_text.replace('kind = "fake"\nsite = "edge"', 'kind = "fakes"\nsite = "edge"'))


def test_building_contacts_nothing(tmp_path: Path, lab_text: str) -> None:
    inventory = make(tmp_path, lab_text)
    board = build_board(inventory.specs["a"])
    assert board.opened == 0  # type: ignore[attr-defined]
