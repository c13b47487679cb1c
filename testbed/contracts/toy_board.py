"""A toy board in toy time: a link that carries payload after payload, and lanes that run batch after batch."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from testbed.contracts.toy_models import ToyBoard, ToyModel, answer
from testbed.model.action import Infer, Load, Output
from testbed.model.execution import WINDOW_MISSED, Execution, ItemResult
from testbed.model.origin import Origin
from testbed.model.view import Health
from testbed.units import MS, Ns, S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from testbed.model.ids import ActionId
    from testbed.model.request import Request


class ToyTime:
    """A heap of things to happen, and the instant of the last that did."""

    def __init__(self) -> None:
        """Time starts at 0."""
        self.now: Ns = 0
        self._heap: list[tuple[Ns, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, t: Ns, what: Callable[[], object]) -> None:
        """Let something happen; what lies in the past happens now, and ties in the order they were asked for."""
        self._count += 1
        heapq.heappush(self._heap, (max(t, self.now), self._count, what))

    def step(self) -> bool:
        """Do the next thing; ``False`` if there is none."""
        if not self._heap:
            return False
        self.now, _, what = heapq.heappop(self._heap)
        what()
        return True


class Flight:
    """An order under way. ``stage`` is sending, queued, running or over; ``open`` are positions not yet settled."""

    def __init__(self, order: Infer, decided: Ns) -> None:
        """Just ordered."""
        self.order = order
        self.decided = decided
        self.sent: Ns | None = None
        self.received: Ns | None = None
        self.stage = "sending"
        self.open = set(range(len(order.batch)))


class Run:
    """One execution that took place, for assertions."""

    def __init__(self, order: Infer, started: Ns) -> None:
        """It began; ``finished`` is set when it ends or is cut off."""
        self.order = order
        self.started = started
        self.finished: Ns = started


class ToyMachine:
    """Implements ``BoardView``; executes with layers, exits, kept outputs, windows and canvases."""

    def __init__(
        self,
        spec: ToyBoard,
        models: Mapping[str, ToyModel],
        time: ToyTime,
        request_of: Callable[[int], Request],
        told: Callable[[Flight, Execution | str], None],
    ) -> None:
        """Up, with what it has resident from the start; ``told`` hears how each action ended."""
        self.id, self.kind, self.site = spec.id, "toy", spec.site
        self.health = Health.UP
        self.resident: dict[str, int] = dict(spec.resident)
        self.loading: set[str] = set()
        self.queued = 0
        self.memory_bytes: int | None = spec.memory_bytes
        self.temperature_c: float | None = None
        self.cores = spec.cores
        self.rtt = spec.rtt
        self.up_bytes_per_s, self.down_bytes_per_s = spec.up_bytes_per_s, spec.down_bytes_per_s
        self.loss_frac = 0.0
        self.runs: list[Run] = []
        self.outputs: dict[tuple[ActionId, int], tuple[int, int]] = {}
        self.price_per_s = spec.price_per_s
        self._spec, self._models, self._time = spec, models, time
        self._request_of, self._told = request_of, told
        self._looks = 0
        self._link_free: Ns = 0
        self._lanes: dict[int, deque[Flight]] = {}
        self._running: dict[int, tuple[Flight, Run]] = {}
        self._free_at: dict[int, Ns] = {}

    @property
    def version(self) -> int:
        """Another one at every look: that is allowed, and a policy must cope with it."""
        self._looks += 1
        return self._looks

    @property
    def busy_until(self) -> Sequence[Ns]:
        """Per lane, from the profile's figures."""
        lanes = max(max(self.resident.values(), default=1), len(self._free_at), 1)
        if not self.queued:
            return [self._time.now] * lanes
        return [max(self._time.now, self._free_at.get(lane, 0)) for lane in range(lanes)]

    def take(self, flight: Flight, payload_bytes: float, ready: Ns) -> None:
        """Carry the payload over the link once it is ready, then queue the batch on its lane."""
        order = flight.order
        begin = max(self._time.now, self._link_free, ready)
        sent = begin + round(payload_bytes / self.up_bytes_per_s * S)
        self._link_free = sent
        arrives = sent + self.rtt // 2
        self.queued += len(order.batch)
        work = self._work(order, flight.open)[0]
        self._free_at[order.instance] = max(self._free_at.get(order.instance, 0), arrives) + work
        self._time.at(sent, lambda: self._mark_sent(flight))
        self._time.at(arrives, lambda: self._arrived(flight))

    def load(self, order: Load, done: Callable[[str], None]) -> None:
        """Evict, then hold so many copies; ``done`` hears an error or an empty string."""
        self.loading.add(order.model)
        model = self._models[order.model]
        self._time.at(
            self._time.now + self.rtt + round(model.load_ms * MS), lambda: self._loaded(order, model, done)
        )
        for name in order.evict:
            self.resident.pop(name, None)

    def stop(self, flight: Flight) -> str:
        """Take an action off the board; the stage at which it was caught."""
        lane = flight.order.instance
        stage = {
            "sending": "before_sent" if flight.sent is None else "before_start",
            "queued": "before_start",
        }.get(flight.stage, "during" if flight.stage == "running" else "too_late")
        if flight.stage == "queued":
            self._lanes[lane].remove(flight)
        if flight.stage == "running":
            _, run = self._running.pop(lane)
            run.finished = self._time.now
        if stage != "too_late":
            flight.stage = "over"
            self._free_at[lane] = self._time.now
            self._start(lane)
        return stage

    def go_down(self) -> None:
        """Lose the link and everything on the board."""
        self.health = Health.DOWN
        self._lanes.clear()
        self._running.clear()
        self._free_at.clear()
        self.outputs.clear()
        self.loading.clear()

    def come_up(self) -> None:
        """Start anew with what it held at first."""
        self.health = Health.UP
        self.resident = dict(self._spec.resident)

    def _loaded(self, order: Load, model: ToyModel, done: Callable[[str], None]) -> None:
        if self.health is Health.DOWN:
            return
        self.loading.discard(order.model)
        held = {**self.resident, order.model: order.instances}
        used = sum(self._models[name].memory_bytes * n for name, n in held.items())
        fits = self.memory_bytes is None or used <= self.memory_bytes
        if fits:
            self.resident = held
        done("" if fits else f"{model.name} does not fit: {used} of {self.memory_bytes} bytes")
        for lane in list(self._lanes):
            self._start(lane)

    def _mark_sent(self, flight: Flight) -> None:
        if flight.stage == "sending":
            flight.sent = self._time.now

    def _arrived(self, flight: Flight) -> None:
        if flight.stage != "sending" or self.health is Health.DOWN:
            return
        flight.stage, flight.received = "queued", self._time.now
        self._lanes.setdefault(flight.order.instance, deque()).append(flight)
        self._start(flight.order.instance)

    def _start(self, lane: int) -> None:
        """Begin the next batch of a lane if it may begin now."""
        queue = self._lanes.get(lane)
        if not queue or lane in self._running:
            return
        flight, now = queue[0], self._time.now
        order = flight.order
        if order.model in self.loading:
            return
        if order.earliest is not None and now < order.earliest:
            self._time.at(order.earliest, lambda: self._start(lane))
            return
        queue.popleft()
        if order.latest is not None and now > order.latest:
            error = WINDOW_MISSED
        elif lane >= self.resident.get(order.model, 0):
            error = f"{order.model} is not resident in lane {lane}"
        else:
            error = self._lost_input(order)
        if error:
            self._end(flight, error)
            self._start(lane)
            return
        run = Run(order, now)
        self.runs.append(run)
        self._running[lane] = (flight, run)
        flight.stage = "running"
        service, items = self._work(order, flight.open)
        self._time.at(now + service, lambda: self._finish(flight, run, items))

    def _lost_input(self, order: Infer) -> str:
        for item in order.batch:
            wants = item.input
            if not isinstance(wants, Output):
                continue
            found = self.outputs.get((wants.action, wants.item))
            if found is None:
                return f"output {wants.item} of action {wants.action} is not here"
            if order.layers is not None and found[0] + 1 != order.layers[0]:
                return f"part {order.layers[0]} cannot go on from part {found[0]}"
        return ""

    def _work(self, order: Infer, positions: set[int]) -> tuple[Ns, tuple[ItemResult, ...]]:
        """Service time [ns] and results: part after part, those that leave make the rest cheaper."""
        model = self._models[order.model]
        first, end = order.layers or (0, len(model.parts_ms))
        left = dict(enumerate(order.batch))
        results: dict[int, ItemResult] = {}
        spent = 0
        for part in range(first, end):
            places = [
                item.place.canvas if item.place else -1 - p for p, item in left.items() if p in positions
            ]
            spent += model.part(part, max(len(set(places)), 1), self._spec.lane_speed(order.instance))
            for position, item in list(left.items()):
                rule = item.exit
                sure = 2.0 if part >= len(rule.min_confidence) else rule.min_confidence[part]
                sample = self._request_of(item.request).sample
                kept = model.kept_bytes[part] if order.keep else None
                result = answer(model, part, sample, kept)
                late = rule.stop_after is not None and spent >= rule.stop_after
                if part == end - 1 or result.confidence >= sure or late:
                    results[position] = result
                    del left[position]
            if not left:
                break
        return spent, tuple(results[p] for p in range(len(order.batch)))

    def _finish(self, flight: Flight, run: Run, items: tuple[ItemResult, ...]) -> None:
        lane = flight.order.instance
        if self._running.get(lane, (None,))[0] is not flight:
            return
        del self._running[lane]
        run.finished = self._time.now
        if flight.order.keep:
            for position, item in enumerate(items):
                self.outputs[flight.order.id, position] = (item.exit, item.kept_bytes or 0)
        execution = Execution(
            received=flight.received or 0,
            started=run.started,
            finished=run.finished,
            items=items,
            origin=Origin.MODELLED,
        )
        self._end(flight, execution)
        self._start(lane)

    def _end(self, flight: Flight, how: Execution | str) -> None:
        """The lane is done with it; the host hears half a round trip later."""
        flight.stage = "over"
        if not self._lanes.get(flight.order.instance):
            self._free_at[flight.order.instance] = self._time.now
        self._time.at(self._time.now + self.rtt // 2, lambda: self._told(flight, how))
