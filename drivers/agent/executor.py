"""One thread for each model instance: takes actions from its queue, runs them, reports what came out."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from typing import TYPE_CHECKING

from drivers.agent.ledger import Stage
from testbed.errors import LocalWireError
from testbed.wire.messages import Done, Failed, Started

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.agent.ledger import Entry, Ledger
    from drivers.agent.outlet import Outlet
    from drivers.agent.runtimes import Runtime
    from testbed.wire import Message
    from testbed.wire.messages import Infer


class Executor:
    """Runs the actions of one instance of one model, in the order they came."""

    def __init__(
        self,
        runtime: Runtime,
        instance: int,
        *,
        name: str,
        ledger: Ledger,
        outlet: Outlet,
        now_ns: Callable[[], int],
        report_start: bool,
    ) -> None:
        """Start the thread; ``name`` is for people."""
        self._runtime = runtime
        self._instance = instance
        self._ledger = ledger
        self._outlet = outlet
        self._now_ns = now_ns
        self._report_start = report_start
        self._queue: deque[Entry] = deque()
        self._ready = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> bool:
        """Queue an action; false if this executor is being stopped."""
        with self._ready:
            if self._stopping:
                return False
            self._queue.append(entry)
            self._ready.notify()
            return True

    def stop(self, timeout_s: float) -> bool:
        """Fail what is queued, wait for what runs; whether it ended in time."""
        with self._ready:
            self._stopping = True
            left = list(self._queue)
            self._queue.clear()
            self._ready.notify()
        for entry in left:
            if entry.stage is Stage.QUEUED:
                text = "the model was unloaded before it started"
                self._reply(entry, Failed("action", entry.action, "unloaded", text, ""))
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._queue and not self._stopping:
                    self._ready.wait()
                if not self._queue:
                    return
                entry = self._queue.popleft()
            infer = entry.infer
            if infer is not None and self._ledger.start(entry):
                self._reply(entry, self._execute(entry, infer))

    def _execute(self, entry: Entry, infer: Infer) -> Done | Failed:
        started = self._now_ns()
        if self._report_start:
            self._outlet.send(Started(infer.action, started))
        try:
            outcome = self._runtime.run(
                infer.model,
                self._instance,
                (infer.input,),
                infer.thresholds,
                infer.samples,
                lambda: entry.cancelled,
                infer.expected_service_ns,
            )
            finished = self._now_ns()
            exits, outputs, report = outcome
            return Done(infer.action, entry.received, started, finished, exits, outputs, report)
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises is for the host to know
            text = f"{type(error).__name__}: {error}"
            return Failed("action", infer.action, "runtime", text, traceback.format_exc())

    def _reply(self, entry: Entry, reply: Done | Failed) -> None:
        for message in self._ledger.finish(entry, reply):
            self._send(entry.action, message)

    def _send(self, action: int, message: Message) -> None:
        try:
            self._outlet.send(message)
        except LocalWireError as error:
            self._outlet.send(Failed("action", action, "reply", str(error), ""))
