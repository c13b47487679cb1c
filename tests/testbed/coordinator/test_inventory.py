"""Opening, watching and closing the boards of a lab."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from testbed.coordinator import boards as boards_module
from testbed.coordinator import inventory as inventory_module
from testbed.coordinator.boards import board_specs
from testbed.coordinator.inventory import Inventory
from testbed.coordinator.labfile import read_lab
from testbed.coordinator.lease_store import LeaseStore
from testbed.coordinator.recovery import Standing
from testbed.errors import BoardError, ConfigError, LeaseError
from testbed.model import event as ev
from testbed.model.lab import ModelFiles
from testbed.model.lease import Holder
from testbed.ports import BoardEvent
from testbed.units import S
from tests.testbed.coordinator import fake_board
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
    monkeypatch.setattr(boards_module, "entry_points", lambda group: [Point()])
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


@pytest.fixture
def shared(tmp_path: Path, lab_text: str) -> tuple[str, LeaseStore]:
    """The lab with board a on a device that others use, too."""
    text = lab_text.replace("schema = 1", 'schema = 1\nstate = "leases"')
    return text.replace("[boards.b]", 'resource = "ssh://a:22"\n[boards.b]'), LeaseStore(tmp_path / "leases")


async def test_a_board_is_leased_before_it_is_opened_and_let_go_when_it_is_closed(
    tmp_path: Path, shared: tuple[str, LeaseStore]
) -> None:
    text, store = shared
    inventory = make(tmp_path, text)
    fences = {name: spec.fence for name, spec in inventory.specs.items()}
    await inventory.open()
    (held,) = store.read()[0].values()
    assert held.held is not None
    spec = inventory.boards["a"].spec  # type: ignore[attr-defined]
    assert (spec.fence, spec.ttl) == (held.token, 15 * S)
    assert str(held.held.holder) in spec.holder
    assert inventory.specs["b"].fence == fences["b"], "not shared, not leased"
    with pytest.raises(LeaseError, match="a is held by"):
        await make(tmp_path, text).open()
    await inventory.close()
    assert store.read()[0]["ssh://a:22"].held is None


async def test_a_board_that_another_coordinator_has_is_waited_for(
    tmp_path: Path, shared: tuple[str, LeaseStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, store = shared
    monkeypatch.setitem(fake_board.BUSY, "a", 2)
    monkeypatch.setattr(inventory_module, "KNOCK", S // 100)
    inventory, waited = make(tmp_path, text), list[LeaseError]()
    await inventory.open(wait=30 * S, on_wait=waited.append)
    assert set(inventory.facts) == {"a", "b"}
    assert len(waited) == 1, "told once"
    assert inventory.boards["b"].opened == 3  # type: ignore[attr-defined]
    await inventory.close()
    monkeypatch.setitem(fake_board.BUSY, "a", 1)
    again = make(tmp_path, text)
    with pytest.raises(LeaseError, match="somebody holds this board"):
        await again.open()
    assert store.read()[0]["ssh://a:22"].held is None, "what was taken in vain is given back"
    await again.close()


async def test_nothing_is_asked_of_boards_that_are_no_longer_ours(
    tmp_path: Path, shared: tuple[str, LeaseStore]
) -> None:
    text, store = shared
    inventory = make(tmp_path, text)
    await inventory.open()
    store.give_back({"ssh://a:22": "a"}, Holder(user="bob", host="h"), force=True)
    with pytest.raises(LeaseError):
        await inventory.leasing.check()
    inventory.leasing.lost = LeaseError("gone")
    with pytest.raises(LeaseError, match="gone"):
        await inventory.execute("a", "m", np.zeros((1, 4), np.uint8), (0,))
    await inventory.close()


async def test_a_lost_and_a_taken_board_are_cared_for(tmp_path: Path, lab_text: str) -> None:
    inventory = make(tmp_path, lab_text)
    await inventory.open()
    inventory.boards["a"].lose()  # type: ignore[attr-defined]
    assert inventory.recovery.state("a") is Standing.LOST
    inventory._on_event(ev.BoardUp(t=1, board="a", boot=2))
    await inventory.recovery.settled()
    inventory._on_event(ev.BoardDown(t=2, board="a", error="bob has it", taken=True))
    with pytest.raises(BoardError, match="withdrawn: bob has it"):
        await inventory.recovery.settled()
    assert inventory.boards["a"].closed == 1  # type: ignore[attr-defined]
    await inventory.close()


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


async def test_a_board_is_asked_how_it_stands_where_it_can_tell(
    tmp_path: Path, lab_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = make(tmp_path, lab_text)
    await inventory.open()
    assert await inventory.tell("a", "condition") is None, "this kind of board does not tell"

    async def tell(board: FakeBoard, name: str) -> str:
        if name != "condition":
            raise BoardError("no such thing")
        return f"{board.id} is well"

    monkeypatch.setattr(FakeBoard, "tell", tell, raising=False)
    assert await inventory.tell("a", "condition") == "a is well"
    assert await inventory.tell("a", "mood") is None


async def test_a_model_is_loaded_anew_with_as_many_instances_as_asked(
    tmp_path: Path, lab_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = make(tmp_path, lab_text)
    await inventory.open()
    orders: list[object] = []
    send = FakeBoard.send
    monkeypatch.setattr(
        FakeBoard, "send", lambda board, order, *rest: (orders.append(order), send(board, order, *rest))[1]
    )
    assert (await inventory.load("a", "m", instances=3, evict=("m",))).load == 5
    await inventory.execute("a", "m", np.zeros((1, 4), np.uint8), (0,), None, 2)
    assert [(orders[0].instances, orders[0].evict), orders[1].instance] == [(3, ("m",)), 2]  # type: ignore[attr-defined]
    [up] = [e for e in inventory.known() if isinstance(e, ev.BoardUp) and e.board == "a"]
    assert dict(up.resident)["m"] == 3
