"""The live shell: real boards, real time, one event loop.

The hot path has no task, thread, file or log line per request: a timer hands arrivals over, drivers call
``on_event`` from their reader, and each event runs through the core and out to the boards at once.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.coordinator.effects import Close, Dispatch, Effect, Plan, Remark, WakeAt
from testbed.errors import PolicyError, TestbedError
from testbed.model import event as ev
from testbed.model.action import NOTHING, Infer, Load
from testbed.model.record import ClockProbe, PowerSamples
from testbed.store.schema import Decided, Logged
from testbed.units import MS, Ns, S, to_s

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from testbed.coordinator.core import Core
    from testbed.model.ids import BoardId
    from testbed.model.placement import Placement
    from testbed.model.request import Request
    from testbed.ports import Board, BoardEvent, Payload, Policy, RecordSink

LEAD: Ns = 20 * MS
"""Between the end of preparation and the first possible arrival."""


_INSTRUMENTS = (ClockProbe, PowerSamples)
_ENDS_OF_LOADS = (ev.Loaded, ev.Failed)

PREPARE_LIMIT: Ns = 120 * S
"""Bound on the first plan, and again on the loads it asks for."""


class MonotonicClock:
    """The coordinator's clock: the host's monotonic one."""

    def now(self) -> Ns:
        """Now [ns]."""
        return time.monotonic_ns()


class LiveTrial:
    """One trial of one policy on boards that are already open.

    Raises from ``run``: whatever broke the trial itself (`PolicyError`, `StoreError`); board and link
    trouble ends as outcomes of requests instead.
    """

    def __init__(
        self,
        core: Core,
        policy: Policy,
        boards: Mapping[BoardId, Board],
        inputs: Callable[[Infer, tuple[int, ...]], Payload],
        records: RecordSink,
        *,
        events: RecordSink | None = None,
        on_close: Callable[[], None] = lambda: None,
        on_remark: Callable[[Ns, str], None] = lambda t, text: None,
    ) -> None:
        """Put the shell around a core.

        Args:
            inputs: payload of an order's batch from sample indexes, shape (items, ...).
            records: gets each `RequestRecord` as its request settles.
            events: gets every core event and decision, for replay; ``None`` keeps no log.
            on_close: called once per settled request, for progress.
            on_remark: called with the instant and text of each note of the policy.
        """
        self._core = core
        self._policy = policy
        self._boards = boards
        self._inputs = inputs
        self._records = records
        self._events = events
        self._on_close = on_close
        self._on_remark = on_remark
        self._pending: deque[ev.CoreEvent] = deque()
        self._draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._next_arrival: asyncio.TimerHandle | None = None
        self._plans: set[asyncio.Future[Placement]] = set()
        self._loads: set[int] = set()
        self._loaded = asyncio.Event()
        self._wanted: deque[Request] = deque()
        self._planned = asyncio.Event()
        self._quiet = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None
        self._does: dict[type, Callable[[Any], None]] = {
            Dispatch: self._dispatch,
            Close: self._close,
            WakeAt: lambda effect: self._set_timer(effect.t),
            Remark: lambda effect: self._on_remark(effect.t, effect.text),
            Plan: self._plan,
        }

    def on_event(self, event: BoardEvent) -> None:
        """Take what a board driver tells; must be called on the event loop."""
        if not isinstance(event, _INSTRUMENTS):
            self._handle(event)

    async def run(
        self, requests: Sequence[Request], known: Sequence[ev.CoreEvent], limit: Ns
    ) -> tuple[Ns, Ns]:
        """Play the requests and wait until each has its record.

        Args:
            requests: arrivals and deadlines relative to the start [ns], ascending.
            known: events that tell the core how the lab stands (boards up, network).
            limit: bound on the time after the last arrival; what is open then is ABORTED.

        Returns:
            start and end of the load on the coordinator's clock.
        """
        try:
            await self.prepare(known)
            start = time.monotonic_ns() + LEAD
            self._wanted.extend(_shift(request, start) for request in requests)
            last = self._wanted[-1].arrival if self._wanted else start
            self._pump()
            try:
                await self._or_broken(self._quiet.wait(), last - start + LEAD + limit)
            except TimeoutError:
                self._handle(
                    ev.Stop(t=time.monotonic_ns(), reason="not answered when the trial's limit passed")
                )
            return start, time.monotonic_ns()
        except asyncio.CancelledError:
            self._wanted.clear()
            self._handle(ev.Stop(t=time.monotonic_ns(), reason="interrupted"))
            raise
        finally:
            self.finish()

    async def prepare(self, known: Sequence[ev.CoreEvent]) -> None:
        """Tell the core how the lab stands, and wait for the first plan and the loads it asks for; see `run`."""
        self._broken = asyncio.get_running_loop().create_future()
        self._carry_out(self._core.start(time.monotonic_ns()))
        for event in known:
            self._handle(msgspec.structs.replace(event, t=time.monotonic_ns()))
        await self._or_broken(self._planned.wait(), PREPARE_LIMIT)
        self._check_loaded()
        await self._or_broken(self._loaded.wait(), PREPARE_LIMIT)
        gc.freeze()  # what is there now stays: collections in the middle of requests need not look at it again

    def submit(self, request: Request) -> None:
        """Hand over a request that arrives now, for a closed loop: `prepare`, then this, then `finish`."""
        self._handle(ev.Arrived(t=time.monotonic_ns(), request=request))

    def finish(self) -> None:
        """Drop what has not arrived yet, timers and plans; what is in flight is left to its boards."""
        gc.unfreeze()
        self._wanted.clear()
        for timer in (self._timer, self._next_arrival):
            if timer is not None:
                timer.cancel()
        if self._broken is not None and not self._broken.done():
            self._broken.cancel()
        for plan in self._plans:
            plan.cancel()

    async def _or_broken(self, waiter: Coroutine[Any, Any, object], bound: Ns) -> None:
        """Wait, but no longer than ``bound``, and fail at once if the shell broke."""
        assert self._broken is not None
        task = asyncio.ensure_future(waiter)
        try:
            done, _ = await asyncio.wait(
                (task, self._broken), timeout=to_s(bound), return_when=asyncio.FIRST_COMPLETED
            )
            if self._broken in done:
                self._broken.result()
            if not done:
                raise TimeoutError
        finally:
            task.cancel()

    def _pump(self) -> None:
        """Hand over what has arrived, and come back for the next."""
        now = time.monotonic_ns()
        while self._wanted and self._wanted[0].arrival <= now:
            self._handle(ev.Arrived(t=now, request=self._wanted.popleft()))
            now = time.monotonic_ns()
        if self._wanted:
            loop = asyncio.get_running_loop()
            self._next_arrival = loop.call_at(to_s(self._wanted[0].arrival), self._pump)
        else:
            self._check_quiet()

    def _handle(self, event: ev.CoreEvent) -> None:
        """Run an event through the core; what boards answer synchronously waits its turn."""
        if self._broken is not None and self._broken.done():
            return
        self._pending.append(event)
        if self._draining:
            return
        self._draining = True
        try:
            while self._pending:
                event = self._pending.popleft()
                try:
                    effects = self._core.handle(event)
                    decision = self._core.decision
                    self._carry_out(effects)
                finally:  # behind the effects: nobody waits for the log
                    self._log(event)
                if decision is not None and decision is not NOTHING:
                    self._log(Decided(t=event.t, decision=decision))
                if isinstance(event, _ENDS_OF_LOADS):
                    self._loads.discard(event.action)
                    self._check_loaded()
        except TestbedError as error:
            self.break_off(error)
        finally:
            self._draining = False

    def _log(self, entry: Logged) -> None:
        if self._events is not None:
            self._events.write(entry)

    def break_off(self, error: TestbedError) -> None:
        """End the trial with an error; called from a driver's reader, which must not die of it."""
        if self._broken is None:
            raise error
        if not self._broken.done():
            self._broken.set_exception(error)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self._does[type(effect)](effect)

    def _dispatch(self, effect: Dispatch) -> None:
        order = effect.order
        if isinstance(order, Infer):
            self._boards[effect.board].send(order, self._inputs(order, effect.samples), effect.samples)
            return
        if isinstance(order, Load):
            self._loads.add(order.id)
        self._boards[effect.board].send(order)

    def _close(self, effect: Close) -> None:
        self._records.write(effect.record)
        self._on_close()
        self._check_quiet()

    def _plan(self, effect: Plan) -> None:
        plan = asyncio.ensure_future(asyncio.to_thread(self._policy.plan, effect.demand, effect.lab))
        self._plans.add(plan)
        plan.add_done_callback(functools.partial(self._plan_done, began=time.monotonic_ns()))

    def _plan_done(self, plan: asyncio.Future[Placement], *, began: Ns) -> None:
        self._plans.discard(plan)
        if plan.cancelled():
            return
        error = plan.exception()
        if error is not None:
            wrapped = PolicyError(f"plan raised {type(error).__name__}: {error}")
            wrapped.__cause__ = error
            self.break_off(wrapped)
            return
        now = time.monotonic_ns()
        self._handle(ev.PlanReady(t=now, placement=plan.result(), cost=now - began))
        self._planned.set()

    def _set_timer(self, t: Ns | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if t is not None:
            self._timer = asyncio.get_running_loop().call_at(to_s(t), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._handle(ev.Tick(t=time.monotonic_ns()))

    def _check_loaded(self) -> None:
        if not self._loads:
            self._loaded.set()

    def _check_quiet(self) -> None:
        if not self._wanted and self._core.open_requests == 0:
            self._quiet.set()


def _shift(request: Request, start: Ns) -> Request:
    deadline = None if request.deadline is None else request.deadline + start
    return msgspec.structs.replace(request, arrival=request.arrival + start, deadline=deadline)
