"""Boards and models of the toy lab: enough behaviour to exercise a policy, and nothing measured.

A sample has one difficulty in [0, 1), the same for every model. A model answers it correctly if the difficulty
is below its accuracy, and everybody is the less confident the harder the sample is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from testbed.model.execution import ItemResult
from testbed.model.origin import Origin
from testbed.model.placement import Core
from testbed.model.profile import HwProfile, ProfileBook, Quantity, Service
from testbed.units import MS, Ns

if TYPE_CHECKING:
    from collections.abc import Sequence

CLASSES = 10
BATCHES = (1, 2, 4, 8, 16)
TASK = "toy/ten-classes"
_SOURCE = "toy lab"


class ToyModel(Struct, frozen=True, kw_only=True):
    """A chain of parts, each ending in an exit.

    Attributes:
        parts_ms: time of each part for one item on a lane of speed 1.
        accuracy: per part, of the exit at its end.
        next_item: time of each further item of a batch, as a fraction of the first.
        kept_bytes: per part, what it hands on for one item.
        labels: whether it classifies at all (an encoder does not).
        boxes: regions it proposes on any input.
    """

    name: str
    parts_ms: tuple[float, ...] = (4.0,)
    accuracy: tuple[float, ...] = (0.9,)
    next_item: float = 0.5
    kept_bytes: tuple[int, ...] = (100,)
    labels: bool = True
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    load_ms: float = 50.0
    memory_bytes: int = 1
    task: str = TASK

    def part(self, index: int, items: int, speed: float = 1.0) -> Ns:
        """Time of one part for so many items [ns]."""
        return round(self.parts_ms[index] * (1 + self.next_item * (items - 1)) / speed * MS)


class ToyBoard(Struct, frozen=True, kw_only=True):
    """A board: lanes of some speed behind a link."""

    id: str
    site: str = "edge"
    resident: tuple[tuple[str, int], ...] = ()
    speed: float = 1.0
    memory_bytes: int = 4
    rtt: Ns = 1 * MS
    up_bytes_per_s: float = 1e6
    down_bytes_per_s: float = 1e6
    cores: tuple[Core, ...] = ()
    price_per_s: float | None = None

    def lane_speed(self, lane: int) -> float:
        """Speed of one lane; that of the core it stands for, where cores are listed."""
        return self.speed * (self.cores[lane].relative_speed if lane < len(self.cores) else 1.0)


def difficulty(sample: int) -> float:
    """Spread over [0, 1) and the same for ever."""
    return (sample * 2_654_435_761 % 2**32) / 2**32


def truth(sample: int) -> int:
    """The right class."""
    return sample % CLASSES


def answer(model: ToyModel, part: int, sample: int, kept_bytes: int | None = None) -> ItemResult:
    """What a model says at the exit of a part."""
    if not model.labels:
        return ItemResult(label=-1, confidence=0.0, exit=part, boxes=model.boxes, kept_bytes=kept_bytes)
    hard = difficulty(sample)
    label = truth(sample) if hard < model.accuracy[part] else (truth(sample) + 1) % CLASSES
    confidence = 1.0 - 0.85 * hard
    rest = (1.0 - confidence) / (CLASSES - 1)
    scores = tuple(confidence if c == label else rest for c in range(CLASSES))
    return ItemResult(label=label, confidence=confidence, exit=part, scores=scores, kept_bytes=kept_bytes)


def profile(board: ToyBoard, model: ToyModel) -> HwProfile:
    """What the policy is told: exact medians, 1 % above them at the 99th percentile."""
    service = []
    for last in range(len(model.parts_ms)):
        for batch in BATCHES:
            ms = sum(model.part(i, batch, board.lane_speed(0)) for i in range(last + 1)) / MS
            rows = (ms * 0.999, ms, ms * 1.01)
            service.append(
                Service(
                    batch=batch, exit=last, p=(0.0, 0.5, 0.99), ms=rows, origin=Origin.ASSUMED, source=_SOURCE
                )
            )
    known = [Quantity(value=a, origin=Origin.ASSUMED, source=_SOURCE) for a in model.accuracy]
    return HwProfile(
        schema=1,
        board=board.id,
        model=model.name,
        task=model.task,
        service=tuple(service),
        accuracy=tuple(known),
        class_accuracy=tuple((a,) * CLASSES for a in model.accuracy),
        kept_bytes=model.kept_bytes,
        load_ms=Quantity(value=model.load_ms, origin=Origin.ASSUMED, source=_SOURCE),
        memory_bytes=Quantity(value=model.memory_bytes, origin=Origin.ASSUMED, source=_SOURCE),
        active_w=Quantity(value=5.0 * board.speed, origin=Origin.ASSUMED, source=_SOURCE),
        idle_w=Quantity(value=1.0, origin=Origin.ASSUMED, source=_SOURCE),
    )


def book(boards: Sequence[ToyBoard], models: Sequence[ToyModel]) -> ProfileBook:
    """Every model on every board."""
    return ProfileBook(rows={(b.id, m.name): profile(b, m) for b in boards for m in models})
