"""One lane of the board: takes actions from its queue, runs them, reports what came out.

An idle lane is run by the thread that brings the action, where that one may (it saves the wake-up of another thread on
the way of the request); otherwise by a thread of its own.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from drivers.agent.ledger import Stage
from testbed.errors import LocalWireError
from testbed.wire.messages import Done, Failed, Started

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.agent.ledger import Entry, Ledger
    from drivers.agent.outlet import Outlet
    from drivers.agent.runtimes import Runtime
    from testbed.wire.messages import Infer


_BRIEF_NS = 1_000_000
_FADE = 8


class _Job(NamedTuple):
    model: str
    runtime: Runtime
    entry: Entry


class Executor:
    """One lane: runs one batch at a time, whatever the model, in the order they came."""

    def __init__(
        self,
        lane: int,
        *,
        ledger: Ledger,
        outlet: Outlet,
        now_ns: Callable[[], int],
        report_start: bool,
    ) -> None:
        """Start the thread; it lives as long as the agent."""
        self._lane = lane
        self._ledger = ledger
        self._outlet = outlet
        self._now_ns = now_ns
        self._report_start = report_start
        self._queue: deque[_Job] = deque()
        self._taken = False
        self._running: str | None = None
        self._took: dict[str, int] = {}
        lock = threading.Lock()
        self._wanted = threading.Condition(lock)
        self._freed = threading.Condition(lock)
        threading.Thread(target=self._work_on, name=f"lane {lane}", daemon=True).start()

    def put(self, model: str, runtime: Runtime, entry: Entry, *, claim: bool) -> bool:
        """Queue an action; whether the caller has to ``work`` on this lane now, which only ``claim`` allows."""
        with self._wanted:
            self._queue.append(_Job(model, runtime, entry))
            if self._taken:
                return False
            if claim:
                self._taken = True
            else:
                self._wanted.notify()
            return claim

    def fail_queued(self, model: str) -> None:
        """Fail what is queued for a model; what others have queued keeps its place."""
        with self._wanted:
            dropped = [job.entry for job in self._queue if job.model == model]
            self._queue = deque(job for job in self._queue if job.model != model)
        for entry in dropped:
            if entry.stage is Stage.QUEUED:
                text = "the model was unloaded before it started"
                self._reply(entry, Failed("action", entry.action, "unloaded", text, ""))
                self._outlet.write()
                self._ledger.let_go(entry)

    def wait_until_free_of(self, model: str, timeout_s: float) -> bool:
        """Wait until this lane does not run a model any more; whether that was so in time."""
        with self._freed:
            return self._freed.wait_for(lambda: self._running != model, max(0.0, timeout_s))

    @property
    def brief(self) -> bool:
        """Whether all that is queued should be done within a millisecond, by the longest of each model's last times."""
        with self._wanted:
            return sum(self._took.get(job.model, _BRIEF_NS) for job in self._queue) < _BRIEF_NS

    def work(self, *, together: int = 1) -> None:
        """Run what is queued until nothing is left; for the one thread that has taken the lane.

        So many answers leave ``together``, fewer where nothing is left to run.
        """
        held = 0
        while True:
            with self._freed:
                if self._running is not None:
                    self._running = None
                    self._freed.notify_all()
                if not self._queue:
                    self._taken = False
                    return
                model, runtime, entry = self._queue.popleft()
                self._running = model
            infer = entry.infer
            if infer is not None and self._ledger.start(entry):
                self._reply(entry, self._execute(runtime, entry, infer))
                held += 1
            if held and (held >= together or not self._queue):
                self._outlet.write()
                held = 0
            self._ledger.let_go(entry)

    def _work_on(self) -> None:
        while True:
            with self._wanted:
                while self._taken or not self._queue:
                    self._wanted.wait()
                self._taken = True
            self.work()

    def _execute(self, runtime: Runtime, entry: Entry, infer: Infer) -> Done | Failed:
        started = self._now_ns()
        if self._report_start:
            self._outlet.send(Started(infer.action, started))
        try:
            outcome = runtime.run(
                infer.model,
                self._lane,
                (infer.input,),
                infer.thresholds,
                infer.stop_after_ns or (0,) * entry.batch,
                infer.samples,
                lambda: entry.cancelled,
                entry.lost_rows,
            )
            finished = self._now_ns()
            faded = self._took.get(infer.model, 0) * (_FADE - 1) // _FADE
            self._took[infer.model] = max(finished - started, faded)
            exits, outputs, report = outcome
            if entry.report:
                report = {**report, **entry.report}
            return Done(infer.action, entry.received, started, finished, exits, outputs, report)
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises is for the host to know
            text = f"{type(error).__name__}: {error}"
            return Failed("action", infer.action, "runtime", text, traceback.format_exc())

    def _reply(self, entry: Entry, reply: Done | Failed) -> None:
        for message in self._ledger.finish(entry, reply):
            if entry.beside is not None:
                entry.beside(entry.action, message)
            try:
                self._outlet.queue(message)
            except LocalWireError as error:
                self._outlet.queue(Failed("action", entry.action, "reply", str(error), ""))
