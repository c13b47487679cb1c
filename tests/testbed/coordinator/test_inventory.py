"""Opening, watching and closing the boards of a lab."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from testbed.coordinator import inventory as inventory_module
from testbed.coordinator.inventory import Inventory, board_specs, build_board
from testbed.coordinator.labfile import read_lab
from testbed.errors import BoardError, ConfigError
from testbed.model import event as ev
from testbed.model.lab import ModelFiles
from testbed.ports import BoardEvent
from tests.testbed.coordinator.fake_board import FakeBoard

LAB = """
schema = 1
name = "x"
[boards.a]
kind = "fake"
site = "edge"
models = ["m", "n"]
[boards.b]
kind = "fake"
site = "dc"
models = ["m"]
"""
MODELS = {name: ModelFiles(name=name, task="t", paths=(), sha256=()) for name in ("m", "n")}


class Point:
    """An entry point for the fake board."""

    name = "fake"

    def load(self) -> type[FakeBoard]:
        return FakeBoard


@pytest.fixture
def lab_text(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(inventory_module, "entry_points", lambda group: [Point()])
    return LAB


def make(folder: Path, text: str) -> Inventory:
    file = folder / "lab.toml"
    file.write_text(text)
    lab = read_lab(file)
    return Inventory(board_specs(lab, MODELS, lambda _f, _m: None, folder / "state", 1), lab)


async def test_open_loads_every_model_and_known_brings_a_core_up_to_date(
    tmp_path: Path, lab_text: str
) -> None:
    inventory = make(tmp_path, lab_text)
    ready: list[int] = []
    await inventory.open(lambda: ready.append(1))
    assert len(ready) == 2
    assert set(inventory.facts) == {"a", "b"}
    up = {e.board: dict(e.resident) for e in inventory.known() if isinstance(e, ev.BoardUp)}
    assert up == {"a": {"m": 1, "n": 1}, "b": {"m": 1}}
    assert {s.site for s in inventory.setups()} == {"edge", "dc"}
    await inventory.close()
    assert all(board.closed == 1 for board in inventory.boards.values())  # type: ignore[attr-defined]


async def test_execute_answers_and_its_events_stay_away_from_the_listener(
    tmp_path: Path, lab_text: str
) -> None:
    inventory = make(tmp_path, lab_text)
    heard: list[BoardEvent] = []
    await inventory.open()
    inventory.listener = heard.append
    executed = await inventory.execute("a", "m", np.zeros((2, 4), np.uint8), (0, 1))
    assert [item.label for item in executed.execution.items] == [3, 3]
    assert heard == []


async def test_a_board_that_is_lost_is_no_longer_known_as_up(tmp_path: Path, lab_text: str) -> None:
    inventory = make(tmp_path, lab_text)
    await inventory.open()
    heard: list[BoardEvent] = []
    inventory.listener = heard.append
    inventory.boards["a"].lose()  # type: ignore[attr-defined]
    assert [e.board for e in inventory.known() if isinstance(e, ev.BoardUp)] == ["b"]
    assert isinstance(heard[-1], ev.BoardDown)


async def test_a_model_that_does_not_load_stops_the_opening_with_the_boards_reason(
    tmp_path: Path, lab_text: str
) -> None:
    text = lab_text.replace("[boards.b]", "refuse_models = true\n[boards.b]")
    inventory = make(tmp_path, text)
    with pytest.raises(BoardError, match="no memory"):
        await inventory.open()
    await inventory.close()


def test_an_unknown_model_and_an_unknown_kind_are_named(tmp_path: Path, lab_text: str) -> None:
    with pytest.raises(ConfigError, match="boards.a.models"):
        make(tmp_path, lab_text.replace('"n"', '"resnet"'))
    with pytest.raises(ConfigError, match="Did you mean 'fake'"):
        make(tmp_path, lab_text.replace('kind = "fake"\nsite = "edge"', 'kind = "fakes"\nsite = "edge"'))


def test_building_contacts_nothing(tmp_path: Path, lab_text: str) -> None:
    inventory = make(tmp_path, lab_text)
    board = build_board(inventory.specs["a"])
    assert board.opened == 0  # type: ignore[attr-defined]


SWAPPABLE = """
schema = 1
name = "x"
[boards.a]
kind = "fake"
site = "edge"
models = ["m", "n"]
resident = ["m"]
memory_bytes = 1000
"""


async def test_only_what_is_held_from_the_start_is_loaded_and_a_swap_is_undone(
    tmp_path: Path, lab_text: str
) -> None:
    inventory = make(tmp_path, SWAPPABLE)
    await inventory.open()
    try:
        assert [model for _, model in inventory.loads] == ["m"]
        assert inventory.specs["a"].memory_bytes == 1000
        board = inventory.boards["a"]
        await inventory.load("a", "n")
        await inventory.restore()
        assert isinstance(board, FakeBoard)
        last = board.loads[-1]
        assert (last.model, last.evict) == ("m", ("n",))
        [up] = [e for e in inventory.known() if isinstance(e, ev.BoardUp)]
        assert up.resident == (("m", 1),)
    finally:
        await inventory.close()


def test_live_a_table_is_one_board(tmp_path: Path, lab_text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"boards.b.count: 3 boards of one table exist in virtual time only"
    ):
        make(tmp_path, lab_text + "count = 3\n")
