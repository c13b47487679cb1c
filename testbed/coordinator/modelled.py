"""A board that exists in virtual time only: a link, lanes and draws from profiles.

It answers with stored predictions and takes as long as its profile says, drawn anew for every batch. Nothing here
waits: `ModelledBoard.take` says at once when an order will be received, started, finished and answered.
"""

from __future__ import annotations

import bisect
import copy
import functools
import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from testbed.coordinator.residency import Residency
from testbed.model.energy import Energy
from testbed.model.event import Failed
from testbed.model.execution import NO_DATAGRAMS, NO_TABLE, Execution, ItemResult
from testbed.model.origin import Origin
from testbed.model.profile import Service, service_at
from testbed.model.wires import Constant, Unlimited, Wire
from testbed.units import Ns, S, to_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.coordinator.datagrams import Channel
    from testbed.model.action import ExitRule, Infer, Item
    from testbed.model.event import CoreEvent
    from testbed.model.ids import BoardId, ModelId
    from testbed.model.profile import HwProfile

DRAWS = 4096
"""Most service times drawn at a time: one numpy call costs as much as a few hundred single draws."""

FIRST_DRAWS = 32
"""Drawn at first, then twice as many each time: of a thousand boards most execute little."""


class LinkModel(Struct, frozen=True, kw_only=True):
    """The way to a board; reliable orders lose nothing on it.

    Attributes:
        rtt: round trip of an empty message [ns]. up_bytes_per_s, down_bytes_per_s: ``inf`` where nothing limits.
        reply_bytes: size of an answer on the way back.
        up_wire: whose rate changes over time, instead of ``up_bytes_per_s``, which is its mean then. Each board takes
            a copy.
        loss_frac: share of packets that lossy orders to it have lost.
    """

    rtt: Ns = 0
    up_bytes_per_s: float = float("inf")
    down_bytes_per_s: float = float("inf")
    reply_bytes: int = 128
    up_wire: Wire | None = None
    loss_frac: float = 0.0


class Answers:
    """Stored predictions of one model, laid out for look-ups by sample.

    Args:
        scores: per exit float (n, classes), softmax. lost_frac, lost_rows: what the inputs lack.
    """

    def __init__(
        self,
        scores: Sequence[np.ndarray[tuple[int, int], np.dtype[np.float32]]],
        lost_frac: float = 0.0,
        lost_rows: tuple[int, ...] = (),
    ) -> None:
        """Turn every row into the result it stands for, once."""
        self._by_exit = [
            [
                ItemResult(
                    label=int(row.argmax()),
                    confidence=float(row.max()),
                    exit=exit_,
                    scores=tuple(row.tolist()),
                    lost_frac=lost_frac,
                    lost_rows=lost_rows,
                )
                for row in rows
            ]
            for exit_, rows in enumerate(scores)
        ]

    def at(self, sample: int, rule: ExitRule, reached: Sequence[Ns]) -> ItemResult:
        """What an item answers that leaves by ``rule``; ``reached`` is when each exit is reached after the start."""
        last = len(self._by_exit) - 1
        wanted = rule.min_confidence
        for exit_, rows in enumerate(self._by_exit):
            result = rows[sample]
            early = exit_ < len(wanted) and result.confidence >= wanted[exit_]
            if exit_ == last or early or (rule.stop_after is not None and reached[exit_] >= rule.stop_after):
                return result
        raise AssertionError("a model has at least one exit")

    def of(
        self, batch: Sequence[Item], samples: Sequence[int], reached: Sequence[Ns]
    ) -> tuple[tuple[ItemResult, ...], Ns]:
        """What the items of a batch answer, and how long it runs: as far as its deepest item."""
        if len(samples) > 1:
            items = self._several(batch, samples, reached)
            return items, reached[max([item.exit for item in items])]
        rows, (sample,) = self._by_exit, samples
        found = rows[0][sample] if len(rows) == 1 else self.at(sample, batch[0].exit, reached)
        return (found,), reached[found.exit]

    def _several(
        self, batch: Sequence[Item], samples: Sequence[int], reached: Sequence[Ns]
    ) -> tuple[ItemResult, ...]:
        if len(self._by_exit) == 1:
            rows = self._by_exit[0]
            return tuple([rows[s] for s in samples])
        return tuple([self.at(s, item.exit, reached) for item, s in zip(batch, samples, strict=True)])


_MODELLED = Origin.MODELLED
_GRID = np.linspace(0.0, 1.0, 201)


@functools.lru_cache(maxsize=256)
def _quantiles(
    service: tuple[Service, ...], exits: int, batch: int
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    """Service times of one (profile, batch) on `_GRID`, one array per exit; the same for all boards of a kind.

    Takes what it needs of a profile, since a whole one cannot be a key: its provenance holds mappings.
    """
    return tuple(
        np.array([service_at(service, batch, exit_, float(q)) for q in _GRID], dtype=np.float64)
        for exit_ in range(exits)
    )


class _Draws:
    """Service times of one (model, batch): quantiles drawn in blocks, one number for all exits of an execution."""

    def __init__(self, profile: HwProfile, batch: int, rng: np.random.Generator) -> None:
        self._tables = _quantiles(profile.service, profile.exits, batch)
        self._rng = rng
        self._size = FIRST_DRAWS
        self._block: list[tuple[int, ...]] = []

    def next(self) -> tuple[Ns, ...]:
        """Time to each exit [ns], never shorter at a later one."""
        block = self._block
        if not block:
            block = self._block = self._draw()
        return block.pop()

    def _draw(self) -> list[tuple[Ns, ...]]:
        u = self._rng.random(self._size)
        self._size = min(2 * self._size, DRAWS)
        times = np.array([np.interp(u, _GRID, table) for table in self._tables])
        times = np.maximum.accumulate(times, axis=0)
        return list(zip(*times.astype(np.int64).tolist(), strict=True))


class Flying:
    """An order on a modelled board with the instants it will have; where these change, another one takes its place."""

    __slots__ = ("answered", "finished", "items", "left", "order", "received", "service", "started")

    def __init__(
        self, order: Infer, items: tuple[ItemResult, ...], left: Ns, received: Ns, service: Ns, free: Ns, reply: Ns
    ) -> None:  # fmt: skip
        """Start when it has arrived and its lane is free.

        Args:
            items: what it will answer. free: when its lane is. reply: time of the answer's way back.
        """
        self.order = order
        self.items = items
        self.left = left
        self.received = received
        self.service = service
        self.started = started = received if received > free else free
        self.finished = finished = started + service
        self.answered = finished + reply

    def behind(self, free: Ns, reply: Ns) -> Flying:
        """The same order on a lane that is free at another instant."""
        return Flying(self.order, self.items, self.left, self.received, self.service, free, reply)

    @property
    def execution(self) -> Execution:
        """What the board tells once it is over."""
        return Execution(
            received=self.received,
            started=self.started,
            finished=self.finished,
            items=self.items,
            origin=_MODELLED,
        )


class ModelledBoard:
    """One board in virtual time. Lanes run one batch at a time, in the order received.

    Attributes:
        channel: for lossy orders, where it has one; `accept` then takes all orders, instead of `take`.
    """

    def __init__(
        self,
        board: BoardId,
        link: LinkModel,
        profiles: Mapping[ModelId, HwProfile],
        answers: Mapping[ModelId, Answers],
        rng: np.random.Generator,
        residency: Residency | None = None,
        channel: Channel | None = None,
    ) -> None:
        """An idle board with every model of ``profiles`` on its disk, and in memory unless told otherwise."""
        self.id = board
        self.channel = channel
        self.link = link
        self.busy: dict[ModelId, Ns] = dict.fromkeys(profiles, 0)
        self.residency = residency or Residency(profiles)
        self._profiles = profiles
        self._answers = answers
        self._rng = rng
        self._draws: dict[tuple[ModelId, int], _Draws] = {}
        self._up_free: Ns = 0
        self._wire: Wire = Unlimited() if math.isinf(link.up_bytes_per_s) else Constant(link.up_bytes_per_s)
        if link.up_wire is not None:
            self._wire = copy.deepcopy(link.up_wire)
        self._half = link.rtt // 2
        self._reply = link.rtt - link.rtt // 2 + round(link.reply_bytes / link.down_bytes_per_s * S)
        self._lanes: dict[int, deque[Flying]] = {}

    def energy(self, span: Ns) -> Energy:
        """Energy over a span that holds all of its work, by the watts of its profiles; ``None`` with a reason.

        At rest it draws the largest idle power that a profile tells, and while a model executes that model's active
        power. The uncertainty is the profiles', taken as independent of each other.
        """
        idle = max(
            (p.idle_w for p in self._profiles.values() if p.idle_w), key=lambda w: w.value, default=None
        )
        active = {model: self._profiles[model].active_w for model, busy in self.busy.items() if busy}
        lacking = [model for model, watts in active.items() if watts is None]
        why = ""
        if idle is None:
            why = "no power in its profiles"
        elif lacking:
            why = f"no power of {', '.join(lacking)} in its profiles"
        elif len(self._lanes) > 1:
            why = f"{len(self._lanes)} instances worked side by side, and no profile says what they draw together"
        scope = f"{self.id} as profiled"
        if idle is None or why:
            return Energy(
                gross_j=None, idle_j=None, sigma_j=None, scope=scope, origin=Origin.MODELLED, reason=why
            )
        watts = [(to_s(self.busy[model]), power) for model, power in active.items() if power is not None]
        idle_j = idle.value * to_s(span)
        net_j = sum(seconds * max(power.value - idle.value, 0.0) for seconds, power in watts)
        sigmas = [power.sigma for _, power in watts] + [idle.sigma]
        sigma_j = math.hypot(
            *(seconds * (power.sigma or 0.0) for seconds, power in watts),
            sum(seconds for seconds, _ in watts) * (idle.sigma or 0.0),
        )
        return Energy(
            gross_j=idle_j + net_j,
            idle_j=idle_j,
            sigma_j=None if None in sigmas else sigma_j,
            scope=scope,
            origin=Origin.MODELLED,
        )

    def take(self, order: Infer, samples: Sequence[int], payload_bytes: int, now: Ns) -> Flying:
        """Accept an order that leaves the coordinator at ``now``; uploads queue on the link, batches on the lane."""
        free = self._up_free
        self._up_free = carried = self._wire.through(free if free > now else now, payload_bytes)
        model, batch = order.model, order.batch
        draws = self._draws.get((model, len(batch))) or self._first_draws(model, len(batch))
        items, service = self._answers[model].of(batch, samples, draws.next())
        lane = self._lanes.get(order.instance)
        if lane is None:
            lane = self._lanes[order.instance] = deque()
        free = 0
        if lane:
            # Forget what is finished, but keep the last: the next order queues behind it.
            while len(lane) > 1 and lane[0].finished <= now and lane[1].started <= now:
                lane.popleft()
            free = lane[-1].finished
        flying = Flying(order, items, now, carried + self._half, service, free, self._reply)
        lane.append(flying)
        self.busy[model] += service
        return flying

    def _first_draws(self, model: ModelId, batch: int) -> _Draws:
        """For a batch of a size that had none yet."""
        draws = self._draws[model, batch] = _Draws(self._profiles[model], batch, self._rng)
        return draws

    def accept(
        self, order: Infer, samples: Sequence[int], payload_bytes: int, now: Ns
    ) -> list[Flying | CoreEvent]:
        """Take an order where lossy ones are about; gives orders with new instants, and what else happens.

        This board has no channel for a lossy order.
        """
        return [Failed(t=now, action=order.id, error=f"{NO_DATAGRAMS}: {NO_TABLE}")]

    def reached(self, now: Ns) -> Ns:
        """When a short message gets there that leaves at ``now``: it waits for the payloads that left before it."""
        return (self._up_free if self._up_free > now else now) + self._half

    def cancel(self, flying: Flying, now: Ns) -> list[Flying] | None:
        """Take an order back that arrives there at ``now``; the orders behind it, with new instants.

        ``None`` if it has started: this board does not stop in the middle.
        """
        if flying.started <= now:
            return None
        lane = self._lanes[flying.order.instance]
        index = bisect.bisect_left([f.started for f in lane], flying.started)
        while lane[index] is not flying:
            index += 1
        del lane[index]
        self.busy[flying.order.model] -= flying.service
        for place in range(index, len(lane)):
            free = lane[place - 1].finished if place else 0
            lane[place] = lane[place].behind(free, self._reply)
        return list(lane)[index:]
