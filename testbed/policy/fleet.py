"""Which of many equal boards would be through first, without asking each of them.

Boards are *alike* if they may run the same models with the same profiles, and interchangeable for the moment if
their links, health and resident models agree too. Of interchangeable boards with equally many items on their way,
those whose lane is free when the payload arrives finish at the same instant, so the first of them stands for all.
They are kept as sets by that number, bits of an integer, so that the first is the lowest bit; a board moves when the
view says that it was touched. A choice costs what the kinds of boards cost, not the boards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.model.view import Health
from testbed.policy.runners import Pick, Runner, finish_on
from testbed.units import Ns, S

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from testbed.model.ids import BoardId, ModelId
    from testbed.model.view import BoardView, View
    from testbed.policy import PolicySettings

_Shape = tuple[bool, Ns, float, tuple[tuple[str, int], ...]]


class _Shelf:
    """Boards that are interchangeable for the moment.

    Attributes:
        sets: boards by the number of items on their way, each a bit at its place.
    """

    def __init__(self, board: BoardView) -> None:
        self.half = board.rtt // 2
        self.up_bytes_per_s = board.up_bytes_per_s
        self.models = frozenset(
            model for model, copies in board.resident.items() if copies and board.health is not Health.DOWN
        )
        self.ways: dict[int, Ns] = {}
        self.sets: dict[int, int] = {}
        self._numbers: list[int] = []

    def way(self, payload_bytes: int) -> Ns:
        """Time of a payload there, on a line that is free, and of its answer back."""
        found = self.ways.get(payload_bytes)
        if found is None:
            found = self.ways[payload_bytes] = 2 * self.half + int(payload_bytes * S / self.up_bytes_per_s)
        return found

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of items that occur, rising; sorted when asked, since most choices stop at an idle board."""
        if len(self._numbers) != len(self.sets):
            self._numbers = sorted(self.sets)
        return self._numbers

    def put(self, queued: int, bit: int) -> None:
        """A board comes, with so many items on their way."""
        sets = self.sets
        if queued in sets:
            sets[queued] |= bit
        else:
            sets[queued] = bit
            self._numbers = []

    def move(self, before: int, after: int, bit: int) -> None:
        """A board's number of items changes."""
        sets = self.sets
        left = sets[before] ^ bit
        if left:
            sets[before] = left
        else:
            del sets[before]
            self._numbers = []
        if after in sets:
            sets[after] |= bit
        else:
            sets[after] = bit
            self._numbers = []

    def drop(self, queued: int, bit: int) -> None:
        """A board goes."""
        sets = self.sets
        left = sets[queued] ^ bit
        if left:
            sets[queued] = left
        else:
            del sets[queued]
            self._numbers = []


class _Slot:
    """Where one board stands."""

    __slots__ = ("alike", "bit", "queued", "shelf", "version")

    def __init__(self, alike: Alike, bit: int) -> None:
        self.alike = alike
        self.bit = bit
        self.queued = -1
        self.version = -1
        self.shelf: _Shelf | None = None


class Alike:
    """Boards that may run the same models with the same profiles, in the lab's order."""

    def __init__(self, boards: Sequence[BoardId]) -> None:
        """None of them is known to the view yet."""
        self.boards = tuple(boards)
        self.slots = [_Slot(self, 1 << place) for place in range(len(boards))]
        self.shelves: dict[_Shape, _Shelf] = {}
        self._only: _Shelf | None = None
        self._places = {name: place for place, name in enumerate(boards)}

    def place(self, slot: _Slot, board: BoardView) -> None:
        """Put a board where its link, health and models belong."""
        if slot.shelf is not None:
            slot.shelf.drop(slot.queued, slot.bit)
            if not slot.shelf.sets:  # links are seen anew all the time: what nobody is on must not pile up
                self.shelves = {key: kept for key, kept in self.shelves.items() if kept.sets}
        resident = tuple(sorted(board.resident.items()))
        shape = (board.health is Health.DOWN, board.rtt, board.up_bytes_per_s, resident)
        shelf = self.shelves.get(shape)
        if shelf is None:
            shelf = self.shelves[shape] = _Shelf(board)
        self._only = shelf if len(self.shelves) == 1 else None
        shelf.put(board.queued, slot.bit)
        slot.shelf, slot.version, slot.queued = shelf, board.version, board.queued

    def _given(self, given: Mapping[BoardId, int]) -> list[tuple[BoardId, int]]:
        """Those among these boards, with their places."""
        return [(name, self._places[name]) for name in given if name in self._places]

    def soonest(
        self,
        view: View,
        now: Ns,
        runner: Runner,
        payload_bytes: int,
        most: int | None = None,
        without: Collection[BoardId] = (),
        given: Mapping[BoardId, int] | None = None,
    ) -> Pick | None:
        """Which of these boards would be through first with a runner.

        Among those through at the same instant, the one with the fewest items on their way, then the first.

        Args:
            most: leave out boards with more items than this on their way.
            without: leave out these. given: items given out in this very decision, which the view does not show yet.
        """
        shelf = self._only
        if shelf is not None and not given and not without:
            # By far the most frequent case: all alike in every respect, and the first that is idle stands for all.
            idle = shelf.sets.get(0)
            if idle is not None and runner.model in shelf.models:
                way = shelf.ways.get(payload_bytes) or shelf.way(payload_bytes)
                board = self.boards[(idle & -idle).bit_length() - 1]
                return Pick(runner, board, 0, now + way + runner.service)
            if most == 0:
                return None
        return self._search(view, now, runner, payload_bytes, most, without, given)

    def _search(
        self,
        view: View,
        now: Ns,
        runner: Runner,
        payload_bytes: int,
        most: int | None,
        without: Collection[BoardId],
        given: Mapping[BoardId, int] | None,
    ) -> Pick | None:
        """As `soonest`, shelf by shelf and number by number."""
        names, boards = self.boards, view.boards
        best: Pick | None = None
        rank = (0, 0, 0)
        places = self._places
        aside = sum(1 << places[name] for name in {*without, *(given or ())} if name in places)
        for shelf in self.shelves.values():
            if runner.model not in shelf.models:
                continue
            way = shelf.way(payload_bytes)
            upload = way - 2 * shelf.half
            for queued in shelf.numbers:
                floor = now + way + queued * upload + runner.service
                if most is not None and queued > most:
                    break
                if best is not None and (floor, queued) > rank[:2]:
                    break
                left = shelf.sets[queued] & ~aside
                while left:
                    place = (left & -left).bit_length() - 1
                    left &= left - 1
                    found: Pick | None = Pick(runner, names[place], 0, floor)  # an idle one's lanes are free
                    if queued:
                        found = finish_on(boards[names[place]], runner, payload_bytes, now)
                    if found is None:
                        break
                    if best is None or (found.finish, queued, place) < rank:
                        best, rank = found, (found.finish, queued, place)
                    if found.finish == floor:
                        break  # sooner is nobody with so many; later ones are where lanes are behind their links
        if given:
            for name, place in self._given(given):
                items = self.slots[place].queued + given[name]
                if name in without or (most is not None and items > most):
                    continue
                found = finish_on(boards[name], runner, payload_bytes, now, given[name])
                if found is not None and (best is None or (found.finish, items, place) < rank):
                    best, rank = found, (found.finish, items, place)
        return best


class Fleet:
    """All boards of a policy, sorted by what they can do."""

    def __init__(self, groups: Iterable[Sequence[BoardId]]) -> None:
        """Boards of one group are alike."""
        self._slots: dict[BoardId, _Slot] = {}
        for group in groups:
            alike = Alike(group)
            self._slots.update(zip(alike.boards, alike.slots, strict=True))

    @classmethod
    def of(cls, settings: PolicySettings) -> Fleet:
        """Group a policy's boards by site, models and profiles."""
        groups: list[tuple[object, list[BoardId]]] = []
        known: dict[tuple[str, tuple[ModelId, ...]], list[int]] = {}
        for site, boards in settings.sites.items():
            for board in boards:
                models = settings.models.get(board, ())
                profiles = [settings.profiles.find(board, model) for model in models]
                same = known.setdefault((site, models), [])
                found = next((i for i in same if groups[i][0] == profiles), None)
                if found is None:
                    same.append(len(groups))
                    groups.append((profiles, [board]))
                else:
                    groups[found][1].append(board)
        return cls(boards for _, boards in groups)

    def alike(self, board: BoardId) -> Alike:
        """The boards like this one, itself included."""
        return self._slots[board].alike

    def see(self, view: View) -> list[BoardId]:
        """Take in what changed; once per decision, before any choice.

        Returns:
            boards whose health, link or models changed.
        """
        boards, slots = view.boards, self._slots
        changed: list[BoardId] = []
        for name in view.touched_boards:
            slot = slots.get(name)
            if slot is None:
                continue
            board, shelf = boards[name], slot.shelf
            if shelf is None or board.version != slot.version:
                slot.alike.place(slot, board)
                changed.append(name)
            elif (queued := board.queued) != slot.queued:
                shelf.move(slot.queued, queued, slot.bit)
                slot.queued = queued
        return changed
