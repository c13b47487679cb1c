"""Test inputs in packets for boards in virtual time, and what models answer to what is left of them.

Encoder, packets, decoder, fill and model are those of a live board; an answer is computed when it is first asked for,
and kept. Memory is bounded, whatever the number of inputs and of ways to lose packets of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from testbed.campaign.loss.answering import Answering
from testbed.campaign.loss.calibration import order_bytes, seen
from testbed.campaign.loss.pictures import send
from testbed.coordinator.modelled import Answers
from testbed.wire.picture import lost_rows, rows_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from testbed.campaign.data import Data
    from testbed.campaign.loss.calibration import Way
    from testbed.campaign.loss.pictures import Sent
    from testbed.model.ids import ModelId, TaskId

V = TypeVar("V")

KEPT_BYTES = 64 << 20
"""Of packets, and as much again of answers."""
_ROW_BYTES = 700
_SCORE_BYTES = 32
"""What an answer takes in memory, and a class of it."""


class Kept(Generic[V]):
    """What was used last, up to a size."""

    def __init__(self, limit_bytes: int) -> None:
        """Empty."""
        self._limit = limit_bytes
        self._kept: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self.held_bytes = 0

    def find(self, key: Hashable) -> V | None:
        """What is kept under a key."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def keep(self, key: Hashable, value: V, size: int) -> None:
        """Keep something new, and drop what was not used for longest, but never the last."""
        self._kept[key] = value, size
        self.held_bytes += size
        while self.held_bytes > self._limit and len(self._kept) > 1:
            _, (_, dropped) = self._kept.popitem(last=False)
            self.held_bytes -= dropped


class LossyInputs:
    """Satisfies `testbed.coordinator.datagrams.Pictures` for all boards that take the same packets."""

    def __init__(self, data: Data, way: Way) -> None:
        """Nothing is encoded yet."""
        self._data = data
        self._way = way
        self._sent: Kept[Sent] = Kept(KEPT_BYTES)
        self._answers: Kept[Answers] = Kept(KEPT_BYTES)
        self._models: dict[ModelId, Answering] = {}
        self._orders: dict[ModelId, tuple[TaskId, int]] = {}

    def sizes(self, model: ModelId, sample: int) -> Sequence[int]:
        """Contents of the packets that a picture travels in, in the order in which they leave [bytes].

        Raises:
            LocalWireError: the input is no picture, or a segment of it does not fit a packet.
        """
        return self._in_packets(model, sample).sizes

    def lost_frac(self, model: ModelId, sample: int, gone: tuple[int, ...]) -> float:
        """Share of the picture that packets of these numbers take away."""
        return self._in_packets(model, sample).share(gone) if gone else 0.0

    def answers(self, model: ModelId, sample: int, gone: tuple[int, ...]) -> Answers:
        """What a model answers to a picture that lacks these packets: of one sample, number 0."""
        key = (model, sample, gone)
        found = self._answers.find(key)
        if found is None:
            data = self._data.of(model)
            sent = self._in_packets(model, sample)
            image = seen(sent, gone, self._way, data.images[sample].shape)
            if model not in self._models:
                self._models[model] = Answering(data, model)
            scores = self._models[model].scores(image[None])
            rows = rows_of(lost_rows(sent.shape, sent.without(gone), image.shape))
            found = Answers(scores, self.lost_frac(model, sample, gone), tuple(rows))
            size = sum(_ROW_BYTES + _SCORE_BYTES * (each.shape[1] + len(rows)) for each in scores)
            self._answers.keep(key, found, size)
        return found

    def _in_packets(self, model: ModelId, sample: int) -> Sent:
        """Models of a task whose orders are equally long share the packets."""
        order = self._orders.get(model)
        if order is None:
            data = self._data.of(model)
            order = self._orders[model] = data.catalog.task, order_bytes(data, model, self._way)
        key = (*order, sample)
        sent = self._sent.find(key)
        if sent is None:
            image = self._data.of(model).images[sample]
            sent = send(image, self._way.packets(order[1]))
            self._sent.keep(key, sent, sent.sent_bytes + _ROW_BYTES)
        return sent
