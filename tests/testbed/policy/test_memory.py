import msgspec

from testbed.contracts.toy_models import ToyBoard, ToyModel, book
from testbed.model.action import Infer, Item
from testbed.model.profile import ProfileBook
from testbed.policy.memory import Memory

MODELS = [ToyModel(name=name, memory_bytes=size) for name, size in (("a", 2), ("b", 1), ("c", 2), ("d", 9))]
BOARD = ToyBoard(id="board", memory_bytes=4)


class Board:
    def __init__(self, memory, resident, loading=()):
        self.id, self.memory_bytes, self.resident, self.loading = (
            "board",
            memory,
            dict(resident),
            set(loading),
        )


class Case:
    def __init__(self, *models):
        self.in_flight = {
            i: Infer(id=i, board="board", model=model, batch=(Item(request=1),))
            for i, model in enumerate(models)
        }


class View:
    def __init__(self, board, *cases):
        self.boards = {"board": board}
        self.cases = dict(enumerate(cases))

    def new_id(self):
        return 7


def memory(*used):
    found = Memory(book([BOARD], MODELS))
    for model in used:
        found.touch("board", model)
    return found


def evicts(found, view, model):
    order = found.load(view, "board", model)
    return None if order is None else order.evict


def test_nothing_is_dropped_while_there_is_room() -> None:
    assert evicts(memory(), View(Board(4, {"a": 1})), "c") == ()


def test_least_recently_used_first_and_only_as_many_as_needed() -> None:
    view = View(Board(4, {"a": 1, "b": 1}))
    assert evicts(memory("a", "b"), view, "c") == ("a",)
    assert evicts(memory("b", "a"), view, "c") == ("b",)


def test_never_used_goes_before_used() -> None:
    assert evicts(memory("a"), View(Board(4, {"a": 1, "b": 1})), "c") == ("b",)


def test_work_under_way_is_not_dropped() -> None:
    view = View(Board(4, {"a": 1, "b": 1}), Case("b"))
    assert evicts(memory("b", "a"), view, "c") == ("a",)
    assert evicts(memory("b", "a"), View(Board(3, {"a": 1, "b": 1}), Case("a")), "c") is None


def test_what_is_being_loaded_takes_room_and_stays() -> None:
    assert evicts(memory(), View(Board(4, {"b": 1}, {"a"})), "c") == ("b",)
    assert evicts(memory(), View(Board(3, {}, {"a"})), "c") is None


def test_instances_count() -> None:
    assert evicts(memory("b"), View(Board(4, {"b": 3})), "c") == ("b",)


def test_too_large_or_unlimited() -> None:
    found = memory()
    assert evicts(found, View(Board(4, {})), "d") is None
    assert not found.fits(Board(4, {}), "d")
    assert found.fits(Board(None, {}), "d")
    assert evicts(found, View(Board(None, {"a": 5})), "d") == ()


def test_unknown_size_takes_no_room() -> None:
    rows = {
        key: msgspec.structs.replace(profile, memory_bytes=None)
        for key, profile in book([BOARD], MODELS).rows.items()
    }
    assert evicts(Memory(ProfileBook(rows=rows)), View(Board(1, {"a": 1})), "d") == ()
